// The promise of connections of the simulated network, as with TCP: a beginning of what was sent, in order.

import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { SimFault } from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import { runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import { SCHEDULE_VERSION } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import { WireEnd } from '../../../jepsen-lite/sim/world/wires.ts'
import type { Frame } from '../../../src/server/peers/wires.ts'
import { runs } from '../../runs.ts'
import { calmConfig } from './calm-config.ts'

const FROM_MS = 500
const MS = 1500

/** Delays of whole milliseconds, so that much happens at the same moment. */
function schedule(faults: readonly SimFault[], change: Partial<Schedule['config']> = {}): Schedule {
  const elections = { heartbeatMs: 20, electionMinMs: 200, electionMaxMs: 300, timeoutMs: 300 }
  const fast = { delayMs: 1, jitterMs: 0, silenceMs: 600, restartMs: 100, writeMs: 0.1, writeJitterMs: 0 }
  return {
    version: SCHEDULE_VERSION,
    seed: 1,
    config: calmConfig({ nodes: 3, ms: MS, clients: 100, keys: 4, ...elections, ...fast, ...change }),
    ops: Array.from({ length: MS - FROM_MS }, (_, at) => ({
      ...({ at: FROM_MS + at, kind: 'put', client: at % 100, node: at % 3, key: at % 4, x: at } as const),
    })),
    faults: [...faults].sort((a, b) => a.at - b.at),
  }
}

const spanned = { at: fc.integer({ min: FROM_MS, max: MS }), ms: fc.integer({ min: 1, max: 60 }) }
const target = fc.constantFrom<0 | 1 | 2 | 'leader'>(0, 1, 2, 'leader')
const cut = { stalls: fc.boolean(), refuses: fc.boolean(), breaks: fc.boolean() }
const fault: fc.Arbitrary<SimFault> = fc.oneof(
  fc.record({ kind: fc.constant('pause'), target, ...spanned }),
  fc.record({ kind: fc.constant('isolate'), target, ...spanned, ...cut }),
  fc.record({ kind: fc.constant('one-way'), from: target, to: target, ...spanned, ...cut }),
  fc.record({
    kind: fc.constant('slow-link'),
    from: target,
    delayMs: fc.constantFrom(1, 7, 40),
    ...spanned,
  }),
  fc.record({ kind: fc.constant('break'), target, at: spanned.at }),
)

/** Frames that were held back before the process stopped come before those that arrive during the stop. */
const stoppedWhileCutOff: SimFault[] = [
  { kind: 'isolate', target: 'leader', at: 1000, ms: 10, stalls: true, refuses: false, breaks: false },
  { kind: 'pause', target: 'leader', at: 1005, ms: 20 },
]

/** As far as a test must tell them apart: what the network copies is not the same object. */
function named(frame: Frame): string {
  const { type } = frame
  if (type === 'forward') return `${type} ${frame.proposals.map(({ seq }) => seq)}`
  if (type === 'append') return `${type} ${frame.prevIndex} ${frame.entries.length} ${frame.round}`
  if (type === 'heartbeat' || type === 'heartbeat-answer') return `${type} ${frame.round}`
  return 'number' in frame ? `${type} ${frame.number}` : type
}

test('what arrives on a connection is what was sent on it, from the first frame on and in order, whatever is cut, slow and stopped', () => {
  const sent = new Map<WireEnd, string[]>()
  const wrong: string[] = []
  const { deliver } = WireEnd.prototype
  const spy = vi.spyOn(WireEnd.prototype, 'deliver').mockImplementation(function (this: WireEnd, frame) {
    const due = sent.get(this.other)?.shift()
    if (due !== named(frame)) wrong.push(`${named(frame)} arrives where ${due} is due`)
    deliver.call(this, frame)
  })
  onTestFinished(() => spy.mockRestore())
  fc.assert(
    fc.property(fc.array(fault, { minLength: 20, maxLength: 40 }), (faults) => {
      sent.clear()
      wrong.length = 0
      const { violation } = runSchedule(schedule(faults), undefined, ({ network }) => {
        const carry = network.carry.bind(network)
        network.carry = (from, frame) => {
          const frames = sent.get(from) ?? []
          sent.set(from, frames)
          frames.push(named(frame))
          carry(from, frame)
        }
      })
      expect(wrong).toEqual([])
      expect(violation).toBeUndefined()
    }),
    { numRuns: runs(8), endOnFailure: true, examples: [[stoppedWhileCutOff]] },
  )
})
