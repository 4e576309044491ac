// Three replicas agree, without a driver, a disk or a network: node docs/learn/three-rafts.ts

import { crc32 } from 'node:zlib'
import * as raft from '../../src/raft/index.ts'
import { raftLimits, raftTiming } from '../../src/server/node/limits.ts'

const ids = ['1', '2', '3'].map(raft.asReplicaId)
const members = ids.map((id) => ({ id, name: `n${id}`, peer: `n${id}:7401`, url: `http://n${id}:7301` }))
const configuration = { ...raft.emptyConfiguration, voters: ids, members }
const network: raft.Message[] = []
let now = 0

const replicas = ids.map((id) => {
  const disk: raft.Entry[] = []
  const core = new raft.Raft({
    ...{ id, boot: 1, now, clusterTimeMs: 0, limits: raftLimits, timing: raftTiming, crc32 },
    hardState: { term: raft.asTerm(0), vote: undefined, commit: raft.asIndex(0) },
    appliedIndex: raft.asIndex(0),
    applied: { configuration, leaderLeases: { on: false, durationMs: 500 } },
    log: {
      firstIndex: () => raft.asIndex(1),
      lastIndex: () => raft.asIndex(disk.length),
      termAt: (index) => (index === 0 ? raft.asTerm(0) : disk[index - 1]?.term),
      entries: (from, to) => disk.slice(from - 1, to - 1),
    },
    commandRefusal: () => undefined,
    diskRoom: () => ({ bytes: 2 ** 20, items: 1000 }),
    random: () => Number(id) / 10,
  })
  const step = (input: raft.Input): void => {
    const { write, messages, committed, roleChange } = core.step(input)
    if (roleChange) console.log(`n${id}: ${roleChange.role} in term ${roleChange.term}, ${roleChange.why}`)
    if (write) disk.splice((write.truncateFrom ?? disk.length + 1) - 1, disk.length, ...write.entries)
    network.push(...messages.map(({ message }) => message))
    if (write) step({ now, kind: 'stored', write: write.number, termWrite: write.number })
    for (const { index, frame } of committed) {
      console.log(`n${id}: applies entry ${index}, "${Buffer.from(raft.frameBody(frame))}"`)
      step({ now, kind: 'applied', index })
    }
  }
  return { core, step }
})

while (replicas.some(({ core }) => core.applied < 2)) {
  const message = network.shift()
  const leader = replicas.find(({ core }) => core.role === 'leader')
  if (message) replicas.find(({ core }) => core.id === message.to)?.step({ now, kind: 'message', message })
  else if (leader && leader.core.lastIndex < 2) {
    const header = { kind: raft.ENTRY_KINDS_OF_CORE, version: 1, proposer: leader.core.id, boot: 1, seq: 1 }
    const frame = raft.newFrame(header, 'hello'.length)
    frame.set(Buffer.from('hello'), raft.BODY_AT)
    const proposals = [{ seq: 1, frame: raft.sealFrame(frame, crc32) }]
    leader.step({ now, kind: 'propose', proposals })
  } else {
    now = Math.min(...replicas.map(({ core }) => core.deadline()))
    for (const { step } of replicas) step({ now, kind: 'tick' })
  }
}
