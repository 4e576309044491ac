// When the faults of a schedule begin and end, on a cluster that only writes down what is asked of it.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type Fault,
  type FaultSchedule,
  faultSchedule,
  faultSchedules,
  RecordedHistory,
} from '../../../jepsen-lite/testing/index.ts'
import { parseHistory } from '../../../jepsen-lite/workload/history.ts'
import type { EmbeddedCluster, EmbeddedNode } from '../../../src/index.ts'

class ToldCluster {
  readonly log: string[] = []
  leads: string | undefined = 'n1'
  failing: string | undefined
  /** Happens before a node ends or starts. */
  before: () => Promise<unknown> = async () => {}
  readonly nodes: EmbeddedNode[]

  constructor(count = 3) {
    this.nodes = Array.from({ length: count }, (_, at) => this.#node(`n${at + 1}`))
  }

  node(name: string): EmbeddedNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) throw new RangeError(`there is no node ${name}`)
    return found
  }

  leader(): EmbeddedNode | undefined {
    return this.nodes.find(({ name }) => name === this.leads)
  }

  partition(groups: readonly (readonly string[])[]): void {
    this.log.push(`cut ${groups.map((group) => group.join(' ')).join(' | ')}`)
  }

  heal(): void {
    this.log.push('heal')
  }

  async waitForLeader(): Promise<void> {
    this.log.push('whole')
  }

  get cluster(): EmbeddedCluster {
    return this as unknown as EmbeddedCluster
  }

  #node(name: string): EmbeddedNode {
    const node = { name, url: '', running: true }
    const step = (what: string, running: boolean) => async (): Promise<void> => {
      // It takes a while, and other things happen in that time.
      await new Promise((done) => setImmediate(done))
      await this.before()
      if (this.failing === `${what} ${name}`) throw new Error(`${name} cannot ${what}`)
      node.running = running
      this.log.push(`${what} ${name}`)
    }
    return Object.assign(node, {
      crash: step('crash', false),
      stop: step('stop', false),
      start: step('start', true),
    })
  }
}

/** One operation of a body. */
async function operate(history: RecordedHistory): Promise<void> {
  await history.end(history.invoke('1', { f: 'get', key: 'a' }), { result: { value: null } })
}

/** Faults that are applied when `operations` operations are done one after the other. */
async function play(
  faults: readonly Fault[],
  operations: number,
  told = new ToldCluster(),
): Promise<readonly string[]> {
  await faultSchedule(faults).run(
    told.cluster,
    async (history) => {
      for (let n = 1; n <= operations; n++) {
        await operate(history)
        told.log.push(String(n))
      }
    },
    { idleMs: 60_000 },
  )
  return told.log
}

describe('faults begin and end at operations', () => {
  test('and the caller goes on when they are in force', async () => {
    const log = await play([{ at: 2, fault: 'partition', nodes: ['n1'], for: 2 }], 5)
    expect(log).toEqual(['1', 'cut n1 | n2 n3', '2', '3', 'heal', '4', '5', 'whole'])
    const crash = await play([{ at: 1, fault: 'crash', nodes: ['n2', 'n3'], for: 1 }], 3)
    expect(crash).toEqual(['crash n2', 'crash n3', '1', 'start n2', 'start n3', '2', '3', 'whole'])
  })

  test('in the order of their beginnings, those at 0 before the first operation', async () => {
    const log = await play(
      [
        { at: 2, fault: 'crash', nodes: ['n2'], for: 9 },
        { at: 0, fault: 'stop', nodes: ['n3'], for: 1 },
      ],
      2,
    )
    expect(log).toEqual(['stop n3', 'start n3', '1', 'crash n2', '2', 'start n2', 'whole'])
  })

  test('a body begins when those at 0 are in force', async () => {
    const told = new ToldCluster()
    const faults: Fault[] = [{ at: 0, fault: 'crash', nodes: ['n2'], for: 1 }]
    await faultSchedule(faults).run(told.cluster, async () => told.log.push('the body begins'))
    expect(told.log).toEqual(['crash n2', 'the body begins', 'start n2', 'whole'])
  })

  test('the time in which a fault is applied is not idle', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const told = new ToldCluster()
    // As long as five operations would have had to end.
    told.before = () => vi.advanceTimersByTimeAsync(1_000)
    await faultSchedule([{ at: 1, fault: 'crash', nodes: ['n2'], for: 2 }]).run(
      told.cluster,
      async (history) => {
        for (let n = 1; n <= 3; n++) {
          await operate(history)
          told.log.push(String(n))
        }
      },
      { idleMs: 200 },
    )
    expect(told.log).toEqual(['crash n2', '1', '2', 'start n2', '3', 'whole'])
  })

  test('with an infinite idle time only operations count', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const told = new ToldCluster()
    await faultSchedule([{ at: 1, fault: 'partition', nodes: ['n1'], for: 1 }]).run(
      told.cluster,
      () => vi.advanceTimersByTimeAsync(60_000),
      { idleMs: Number.POSITIVE_INFINITY },
    )
    expect(told.log).toEqual(['whole'])
  })

  test('partitions that overlap cut everything that one of them cuts', async () => {
    const log = await play(
      [
        { at: 1, fault: 'partition', nodes: ['n1', 'n2'], for: 3 },
        { at: 2, fault: 'partition', nodes: ['n2'], for: 1 },
      ],
      4,
      new ToldCluster(4),
    )
    expect(log.filter((what) => what.length > 1)).toEqual([
      'cut n1 n2 | n3 n4',
      'cut n1 | n2 | n3 n4',
      'cut n1 n2 | n3 n4',
      'heal',
      'whole',
    ])
  })

  test('a node that two faults hold down starts after both', async () => {
    const log = await play(
      [
        { at: 1, fault: 'crash', nodes: ['n2'], for: 3 },
        { at: 2, fault: 'stop', nodes: ['n2', 'n3'], for: 1 },
      ],
      5,
    )
    expect(log.filter((what) => what.length > 1)).toEqual([
      'crash n2',
      'stop n2',
      'stop n3',
      'start n3',
      'start n2',
      'whole',
    ])
  })

  test("'leader' is the node that leads then; a fault of no node is left out", async () => {
    const told = new ToldCluster()
    told.leads = 'n3'
    expect(await play([{ at: 0, fault: 'crash', nodes: ['leader'], for: 1 }], 1, told)).toContain('crash n3')
    const lost = new ToldCluster()
    lost.leads = undefined
    expect(await play([{ at: 0, fault: 'crash', nodes: ['leader'], for: 1 }], 1, lost)).toEqual([
      '1',
      'whole',
    ])
  })

  test('a partition of all nodes cuts nothing', async () => {
    const log = await play([{ at: 1, fault: 'partition', nodes: ['n1', 'n2', 'n3'], for: 1 }], 2)
    expect(log.filter((what) => what.startsWith('cut'))).toEqual([])
  })

  test('a body that waits for the end of a fault gets it, because idle time counts', async () => {
    const told = new ToldCluster()
    const isOver = (): boolean => told.log.includes('heal')
    await faultSchedule([{ at: 2, fault: 'partition', nodes: ['n1'], for: 3 }]).run(
      told.cluster,
      async () => {
        while (!isOver()) await new Promise((done) => setImmediate(done))
      },
      { idleMs: 1 },
    )
    expect(told.log).toEqual(['cut n1 | n2 n3', 'heal', 'whole'])
  })
})

describe('in the end the cluster is whole', () => {
  const faults: Fault[] = [
    { at: 1, fault: 'partition', nodes: ['n1'], for: 99 },
    { at: 1, fault: 'crash', nodes: ['n2'], for: 99 },
    { at: 50, fault: 'stop', nodes: ['n3'], for: 1 },
  ]

  test('when the body ends early', async () => {
    expect(await play(faults, 1)).toEqual(['cut n1 | n2 n3', 'crash n2', '1', 'heal', 'start n2', 'whole'])
  })

  test('when the body fails, also while a fault is being applied', async () => {
    const told = new ToldCluster()
    const run = faultSchedule(faults).run(told.cluster, async (history) => {
      void operate(history)
      throw new Error('the body failed')
    })
    await expect(run).rejects.toThrow('the body failed')
    expect(told.log).toEqual(['cut n1 | n2 n3', 'crash n2', 'heal', 'start n2', 'whole'])
    expect(told.nodes.every(({ running }) => running)).toBe(true)
    // Afterwards its operations move nothing.
    expect(await play([], 1, told)).toHaveLength(7)
  })

  test('before another schedule may run on the same cluster', async () => {
    const told = new ToldCluster()
    const run = faultSchedule(faults).run(told.cluster, async (history) => {
      await operate(history)
      const other = faultSchedule([]).run(told.cluster, () => operate(history))
      await expect(other).rejects.toThrow('another schedule runs on this cluster')
      expect(told.log).toEqual(['cut n1 | n2 n3', 'crash n2'])
      throw new Error('the body failed')
    })
    await expect(run).rejects.toThrow('the body failed')
    expect(await play([], 1, told)).toContain('1')
  })

  test('a fault that cannot be applied fails the run', async () => {
    const told = new ToldCluster()
    told.failing = 'crash n2'
    await expect(play(faults, 3, told)).rejects.toThrow('n2 cannot crash')
    expect(told.log.at(-1)).toBe('whole')
  })

  test('a node that cannot start keeps nothing else from ending', async () => {
    const told = new ToldCluster()
    told.failing = 'start n2'
    const crashFirst: Fault[] = [{ at: 0, fault: 'crash', nodes: ['n2'], for: 99 }, ...faults.slice(0, 1)]
    await expect(play(crashFirst, 1, told)).rejects.toThrow('n2 cannot start')
    expect(told.log).toEqual(['crash n2', 'cut n1 | n2 n3', '1', 'heal', 'whole'])
  })

  test('a node that could not start while the body ran starts in the end', async () => {
    const told = new ToldCluster()
    told.failing = 'start n2'
    const run = faultSchedule([{ at: 1, fault: 'crash', nodes: ['n2'], for: 1 }]).run(
      told.cluster,
      async (history) => {
        for (let n = 1; n <= 3; n++) await operate(history)
        told.failing = undefined
      },
    )
    await expect(run).rejects.toThrow('n2 cannot start')
    expect(told.log).toEqual(['crash n2', 'start n2', 'whole'])
  })
})

test('the history shows the faults to the report', async () => {
  const told = new ToldCluster()
  const history = new RecordedHistory()
  const schedule = faultSchedule([{ at: 1, fault: 'crash', nodes: ['leader'], for: 1 }])
  const run = schedule.run(told.cluster, async () => operate(history).then(() => operate(history)), {
    history,
  })
  expect(await run).toBe(history)
  const notes = parseHistory(history.toString()).notes.filter(({ what }) => what !== 'role')
  expect(notes.map(({ what, node, fault, nodes }) => [what, node ?? nodes, fault])).toEqual([
    ['inject', ['n1'], 'crash'],
    ['kill', 'n1', undefined],
    ['start', 'n1', undefined],
    ['heal', undefined, 'crash'],
  ])
})

test('a schedule prints the code that makes it', () => {
  fc.assert(
    fc.property(faultSchedules({ nodes: 5 }), (schedule) => {
      const again: FaultSchedule = new Function('faultSchedule', `return ${schedule}`)(faultSchedule)
      expect(again.faults).toEqual(schedule.faults)
    }),
  )
})

describe('drawn schedules', () => {
  const isBroken = ({ faults }: FaultSchedule): boolean =>
    faults.some((one) => one.fault === 'partition' && one.nodes.includes('n2') && one.for >= 3 && one.at >= 5)

  test('shrink to the fault that matters, and to its smallest form', () => {
    const property = fc.property(faultSchedules({ nodes: 5, steps: 6 }), (schedule) => !isBroken(schedule))
    const { counterexample } = fc.check(property, { numRuns: 10_000 })
    expect(`${counterexample}`).toBe(
      "faultSchedule([\n  { at: 5, fault: 'partition', nodes: ['n2'], for: 3 },\n])",
    )
  })

  test('shrink from an example too', () => {
    const property = fc.property(faultSchedules({ nodes: 3 }), (schedule) => !isBroken(schedule))
    const example = faultSchedule([
      { at: 3, fault: 'crash', nodes: ['n1'], for: 2 },
      { at: 9, fault: 'partition', nodes: ['n1', 'n2'], for: 7 },
    ])
    const { counterexample } = fc.check(property, { examples: [[example]], numRuns: 1 })
    expect(counterexample?.[0]?.faults).toEqual([{ at: 5, fault: 'partition', nodes: ['n2'], for: 3 }])
  })

  test('stay within the options, and reach all that they allow', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        faultSchedules({ nodes: 3, steps: 2, kinds: ['crash', 'stop'], operations: 4, durationMax: 2 }),
        ({ faults }) => {
          expect(faults.length).toBeLessThanOrEqual(2)
          seen.add(`${faults.length} faults`)
          for (const one of faults) {
            expect(one.nodes.length).toBeLessThan(3)
            for (const what of [one.fault, `at ${one.at}`, `for ${one.for}`, ...one.nodes]) seen.add(what)
          }
        },
      ),
      { numRuns: 1000 },
    )
    expect([...seen].sort()).toEqual(
      [
        '0 faults',
        '1 faults',
        '2 faults',
        'at 0',
        'at 1',
        'at 2',
        'at 3',
        'at 4',
        'crash',
        'for 1',
        'for 2',
        'leader',
      ].concat(['n1', 'n2', 'n3', 'stop']),
    )
  })

  test('say which package is missing', () => {
    const code = `
      const { Module } = await import('node:module')
      const usual = Module._resolveFilename
      Module._resolveFilename = (name, ...rest) => {
        if (name !== 'fast-check') return usual(name, ...rest)
        throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' })
      }
      const { faultSchedules } = await import('./jepsen-lite/testing/arbitrary.ts')
      const { simulatedFaults } = await import('./jepsen-lite/simulation/schedule/arbitrary.ts')
      for (const arbitrary of [faultSchedules, simulatedFaults])
        try { arbitrary() } catch (error) { console.log(error.message) }`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: join(import.meta.dirname, '../../..'),
      encoding: 'utf8',
    })
    const hint = 'needs the package fast-check: npm install --save-dev fast-check\n'
    expect(stdout).toBe(`faultSchedules ${hint}simulatedFaults ${hint}`)
  })
})

test('arguments are checked', async () => {
  const anything = (value: unknown) => value as never
  expect(() => faultSchedules({ nodes: 0 })).toThrow('nodes must be a number from 1 to 9')
  expect(() => faultSchedules({ kinds: [] })).toThrow(
    'kinds must be a list of some of partition, crash, stop',
  )
  expect(() => faultSchedules(anything({ kind: 'crash' }))).toThrow('did you mean kinds?')
  expect(() => faultSchedule(anything('crash'))).toThrow('faults must be a list of faults')
  expect(() => faultSchedule(anything([{ at: 1, fault: 'pause', nodes: ['n1'], for: 1 }]))).toThrow(
    'fault must be one of partition, crash, stop',
  )
  expect(() => faultSchedule(anything([{ at: 1, fault: 'crash', nodes: ['n1'] }]))).toThrow('for must be')
  const { cluster } = new ToldCluster()
  const strange = faultSchedule([{ at: 1, fault: 'crash', nodes: ['n4'], for: 1 }])
  await expect(strange.run(cluster, async () => {})).rejects.toThrow('there is no node n4')
  expect(() => faultSchedule([{ at: 1, fault: 'crash', nodes: [], for: 1 }])).toThrow(
    'nodes must be a list of names',
  )
  await expect(faultSchedule([]).run(anything(undefined), async () => {})).rejects.toThrow(
    'cluster must be an embedded cluster',
  )
  await expect(faultSchedule([]).run(cluster, anything(1))).rejects.toThrow('body must be a function')
  await expect(faultSchedule([]).run(cluster, async () => {}, { idleMs: 0 })).rejects.toThrow(
    'idleMs must be',
  )
})
