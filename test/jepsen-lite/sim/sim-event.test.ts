// Lines of a replay: each has every fact of its event.

import { expect, test } from 'vitest'
import { parseLink } from '../../../jepsen-lite/lab/index.ts'
import { generate, runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import { formatEvent, type SimEvent } from '../../../jepsen-lite/sim/sim-event.ts'

/** The texts and numbers of an event. */
const factsOf = (value: unknown): readonly string[] =>
  typeof value === 'object' && value !== null
    ? Object.values(value).flatMap(factsOf)
    : typeof value === 'string' || typeof value === 'number'
      ? [JSON.stringify(value).replace(/^"|"$/g, '')]
      : []

function eventsOf(schedule: Schedule): readonly SimEvent[] {
  const events: SimEvent[] = []
  runSchedule(schedule, ({ event }) => events.push(event))
  return events
}

const drawn = (seed: number): Schedule => {
  const schedule = generate(seed, 5)
  return { ...schedule, config: { ...schedule.config, ms: 15_000 } }
}
const LOCKS = [
  'seed=1,nodes=3,ms=12000',
  '2000:lock,client=0,node=leader,key=0,x=0',
  '3000:stand-still,client=0,node=0,key=0,x=6000',
  '3100:write,client=0,node=leader,key=0,x=0',
  '7500:lock,client=1,node=1,key=0,x=0',
  '8000:pause,target=0,ms=700',
]

test('a line has every fact of its event', () => {
  const events = [...[3, 4, 5, 6].map(drawn), parseLink(LOCKS.join(';'))].flatMap(eventsOf)
  const kinds = new Set(events.map(({ kind }) => kind))
  const usual: readonly SimEvent['kind'][] = [
    ...(['fault', 'started', 'died', 'paused', 'resumed', 'role', 'connection', 'liveness', 'lock'] as const),
    ...(['request', 'answer', 'refusal', 'unknown-outcome', 'watch-message'] as const),
  ]
  expect([...kinds]).toEqual(expect.arrayContaining([...usual]))
  for (const event of events) {
    const line = formatEvent(event)
    // Only the end of a fault has no line: what ends has one.
    expect([event.kind, line === undefined]).toEqual([event.kind, event.kind === 'fault-ended'])
    const { kind, ...facts } = event
    for (const fact of line === undefined ? [] : factsOf(facts)) expect(line, kind).toContain(fact)
  }
})

test.each<readonly [SimEvent, string]>([
  [{ kind: 'died', inFlight: 'kept', silent: true }, 'dies, batch in flight kept, without a word'],
  [{ kind: 'died', inFlight: 'lost', silent: false }, 'dies, batch in flight lost'],
  [{ kind: 'ended', why: 'EIO' }, 'ends itself: EIO'],
  [{ kind: 'not-opened', why: 'a hole in the log' }, 'does not open its disk: a hole in the log'],
  [{ kind: 'log-compacted', upTo: 9 }, 'has deleted its log up to 9'],
  [{ kind: 'snapshot-installed', index: 12 }, 'has installed a snapshot of 12'],
  [{ kind: 'watch-began', watcher: 'w1', from: 3 }, 'serves w1 from revision 3 on'],
  [{ kind: 'watch-lost', watcher: 'w1' }, 'serves w1 no longer'],
  [{ kind: 'deleted', machine: 'n3' }, 'n3 is deleted'],
  [{ kind: 'client-fault', clients: 'p1', fault: 'kill', ms: 30 }, 'the clients p1: kill for 30 ms'],
  [{ kind: 'violation', message: 'RAFT-1: two votes' }, 'VIOLATION RAFT-1: two votes'],
])('%j', (event, line) => {
  expect(formatEvent(event)).toBe(line)
})
