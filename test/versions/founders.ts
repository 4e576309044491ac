// Settings of a cluster that 0.1.0 founded, where newer founders write others. A store that replays what 0.1.0 did
// begins with them.

export const SETTINGS_OF_0_1_0 = {
  ...{ clusterVersion: 1, valueBytesMax: 2 ** 20 },
  ...{ historyRevisionsMax: 100_000, historyBytesMax: 2 ** 30 },
}
