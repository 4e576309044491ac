// The tests of Kubernetes' storage layer that cannot pass on quorate, with the reason.

const PREVIOUS =
  'A watch from the compact revision has the value before: the test expects the error that etcd causes without it.'

/** The tests that fail on every store. */
export const FAILS_ALONE: Readonly<Record<string, string>> = {
  'cacher.TestWatchListIsSynchronisedWhenNoEventsFromStoreReceived':
    'It has no store, and fails unless the tests before it ran in its process.',
}

export const CANNOT_PASS: Readonly<Record<string, string>> = {
  ...FAILS_ALONE,
  'etcd3.TestWatch/WatchFromZero': PREVIOUS,
}

/** The same for Kubernetes 1.20. */
export const CANNOT_PASS_1_20: Readonly<Record<string, string>> = {
  'etcd3.TestProgressNotify':
    'It expects progress before the first revision of the watch, which etcd has not sent since 3.6.',
}
