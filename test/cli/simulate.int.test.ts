// kv simulate: scenarios in files, runs that pass and fail, and files that do not load.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PROGRAM } from '../../src/local/program-name.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { kv, spawnedKv } from './run-kv.ts'

/** Two clerks, of whom the second one counts on the first. */
const CLERKS = `
export const options: object = { nodes: 1, virtualMsMax: 60_000 }
export default async (world: any): Promise<void> => {
  const clerk = (name: string) => world.process(name, async (self: any) => {
    const kv = self.client()
    await kv.put(name, 'works')
    await world.after(2_000)
  })
  const [first, second] = [clerk('first'), clerk('second')]
  await Promise.all([first.ended, second.ended])
}
`
const UNLESS_CRASHED = CLERKS.replace(
  '  await Promise',
  "  world.always('the second one works', () => second.running || second.hasEnded)\n" +
    '  void second.ended.then(() => { second.hasEnded = true })\n  await Promise',
)

/** Fails in one way when both were crashed, and in another one when only the first one was. */
const BOTH_CRASHED = `
export const options: object = { nodes: 1, report: import.meta.dirname + '/of-options.html' }
export default async (world: any): Promise<void> => {
  const [first, second] = ['first', 'second'].map((name) => world.process(name, () => world.after(60_000)))
  const crashed = new Set()
  world.always('one of them works', () => {
    for (const clerk of [first, second]) if (!clerk.running) crashed.add(clerk)
    return crashed.size < 2
  })
  await world.after(1_000)
  if (crashed.has(first)) throw new Error('the first one was away')
}
`

function scenario(code: string, name = 'scenario.ts'): string {
  const path = join(temporaryDirectory(), name)
  writeFileSync(path, code)
  return path
}

test('runs that pass', async () => {
  const { code, out, err } = await kv(['simulate', scenario(CLERKS), '--seeds', '3', '--seed', '5'])
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(
    /^3 seeds from 5 on passed: 4 runs in [\d.]+ s, \d+ s of virtual time, [1-9]\d* faults\n$/,
  )
})

test.each([
  [
    'of TypeScript that was compiled to CommonJS',
    'exports.__esModule = true; exports.options = { nodes: 1 }; exports.default = body',
  ],
  ['of CommonJS', 'module.exports = body'],
])('a scenario %s', async (_, exported) => {
  const code = `const body = async (world) => world.after(10)\n${exported}`
  const { code: exitCode, out } = await spawnedKv([
    'simulate',
    scenario(code, 'scenario.cjs'),
    '--seeds',
    '1',
  ])
  expect([exitCode, out]).toEqual([0, expect.stringContaining(' passed: 2 runs in ')])
})

test('progress on a terminal', async () => {
  const args = ['simulate', scenario(CLERKS), '--seeds', '2', '--seed', '5']
  expect((await kv(args, { terminals: ['stderr'] })).err).toContain('1 of 2 seeds')
})

test('a schedule that names a process which the scenario does not have', async () => {
  const { code, out, err } = await kv([
    'simulate',
    scenario(CLERKS),
    '--schedule',
    '5 crash frist,n1,second for 5',
  ])
  expect([code, out]).toEqual([2, ''])
  expect(err).toBe('error: --schedule: there is no process frist; there are first, second\n')
})

test('an empty schedule is one as well', async () => {
  const { code, out } = await kv(['simulate', scenario(CLERKS), '--seed', '5', '--schedule', ''])
  expect([code, out]).toEqual([0, expect.stringMatching(/^seed 5 passed: 1 run in /)])
})

test('faults that begin nowhere, or after the end, are not counted', async () => {
  const schedule = '5 slow-disk n1 by 10 for 5; 5 slow-disk n9 by 10 for 5; 90000 crash n1 for 5'
  const args = ['--seed', '5', '--seeds', '2', '--schedule', schedule]
  const { code, out } = await kv(['simulate', scenario(CLERKS), ...args])
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(/^2 seeds from 5 on passed: 2 runs in .* of virtual time, 2 faults\n$/),
  ])
})

test('faults are drawn for the nodes that the cluster has', async () => {
  const file = scenario(`
    export const options: object = { nodes: 1 }
    export default async (world: any): Promise<void> => {
      await world.after(100)
      if (/there is no .*n\\d/.test(world.history.toString())) throw new Error('a fault of a node that is not there')
    }`)
  const { code, out } = await kv(['simulate', file, '--seed', '5', '--seeds', '10'])
  expect([code, out]).toEqual([0, expect.stringMatching(/^10 seeds from 5 on passed: 11 runs in /)])
})

test('the result as JSON', async () => {
  const { code, out } = await kv(['simulate', scenario(CLERKS), '--seeds', '1', '--seed', '5', '-o', 'json'])
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    ...{
      ok: true,
      seed: 5,
      seeds: 1,
      passed: 1,
      runs: 2,
      faults: expect.any(Number),
      processes: ['first', 'second'],
      failure: null,
    },
  })
})

describe('a run that fails', () => {
  test('is shrunk, and the printed command runs it again', async () => {
    const { code, out, err } = await kv(['simulate', scenario(UNLESS_CRASHED), '--seed', '1'])
    expect(code).toBe(1)
    expect(err).toMatch(/^seed \d+ failed: .* --schedule '.*second.*'\n$/)
    expect(out).toMatch(/^"the second one works"/)
    const [, again = ''] = /^again: (.*)$/m.exec(out) ?? []
    const [, seed, passed] = /^seed (\d+) failed, after (\d+) that passed: /m.exec(out) ?? []
    expect(Number(seed)).toBe(1 + Number(passed))
    expect(again).toMatch(/^\w+ simulate \S+ --seed \d+ --schedule '\d+ crash second for 1'$/)
    const [, ...words] = again.match(/'[^']*'|\S+/g) ?? []
    const repeated = await kv(words.map((word) => word.replaceAll("'", '')))
    expect(repeated.code).toBe(1)
    expect(repeated.out.split('\n\n')[0]).toBe(out.split('\n\n')[0])
    expect(out).toMatch(/^shrunk from \d faults? to 1 fault in \d+ runs$/m)
    // It cannot become simpler.
    expect(repeated.out).not.toContain('shrunk')
  })

  test('is one although the schedule names a process which the scenario does not have', async () => {
    const schedule = '500 crash second for 1; 600 crash frist for 1'
    const { code, out } = await kv([
      'simulate',
      scenario(UNLESS_CRASHED),
      '--seed',
      '3',
      '--schedule',
      schedule,
    ])
    expect([code, out]).toEqual([1, expect.stringMatching(/^"the second one works"/)])
  })

  test('is a document in JSON', async () => {
    const args = [
      '--seed',
      '3',
      '--schedule',
      '400 pause first for 30;\n500 crash second for 1',
      '-o',
      'json',
    ]
    // The command line goes before the options of the scenario.
    const own = "seed: 77, schedule: '1 crash n1 for 1',"
    const file = scenario(UNLESS_CRASHED.replace('nodes: 1,', `nodes: 1, ${own}`))
    const { code, out } = await kv(['simulate', file, ...args])
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ...{ ok: false, seed: 3, seeds: 1, passed: 0 },
      failure: {
        ...{ seed: 3, code: 'always' },
        message: expect.stringMatching(
          /^"the second one works".*simulate\(\{ seed: 3, schedule: '\d+ crash second for 1' \}/s,
        ),
        schedule: expect.stringMatching(/^\d+ crash second for 1$/),
        drawn_schedule: '400 pause first for 30; 500 crash second for 1',
      },
    })
  })
})

describe('the report', () => {
  const args = ['--seed', '3', '--schedule', '2 crash first for 1; 2 crash second for 1']

  test('is about the failure that the command prints, not about others that it has met', async () => {
    const file = scenario(BOTH_CRASHED)
    const report = join(dirname(file), 'of-options.html')
    const { code, out } = await kv(['simulate', file, ...args, '-o', 'json'])
    expect(code).toBe(1)
    const { failure } = JSON.parse(out)
    expect(failure).toMatchObject({
      code: 'always',
      report,
      schedule: '1 crash first for 1; 1 crash second for 1',
      drawn_schedule: '2 crash first for 1; 2 crash second for 1',
    })
    const html = readFileSync(report, 'utf8')
    expect(html).toContain('&quot;one of them works&quot; does not hold')
    expect(html).toContain('1 crash first for 1; 1 crash second for 1')
  })

  test('has the path that the command line says', async () => {
    const file = scenario(BOTH_CRASHED)
    const cwd = dirname(file)
    const { code, out } = await kv(['simulate', file, ...args, '--report', 'reports/one.html'], { cwd })
    expect([code, out]).toEqual([1, expect.stringContaining(`\nReport: ${join(cwd, 'reports/one.html')}\n`)])
    expect(readFileSync(join(cwd, 'reports/one.html'), 'utf8')).toContain('does not hold')
    expect(existsSync(join(cwd, 'of-options.html'))).toBe(false)
  })

  test('is not written when all runs pass', async () => {
    const file = scenario(CLERKS)
    const report = join(dirname(file), 'report.html')
    const { code } = await kv(['simulate', file, '--seeds', '1', '--seed', '5', '--report', report])
    expect(code).toBe(0)
    expect(existsSync(report)).toBe(false)
  })
})

test('modules that keep a process alive do not keep the command', async () => {
  const file = scenario('setInterval(() => {}, 1_000)\nexport default () => {}')
  const passed = await spawnedKv(['simulate', file, '--seeds', '1', '--seed', '5'])
  expect(passed).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^seed 5 passed: 2 runs in /) })
})

describe('a file that does not load', () => {
  test.each([
    ['has no scenario', 'export const a = 1', 'it has no scenario: export default async (world) => { … }'],
    ['has options that are no object', 'export const options = 5; export default () => {}', 'no object'],
    ['has options of no simulation', 'export const options = { node: 1 }; export default () => {}', 'node'],
    ['throws', "throw new Error('no such machine')", 'no such machine'],
    ['imports what is not there', "import './other.ts'; export default () => {}", 'other.ts'],
  ])('because it %s', async (_, code, reason) => {
    const file = scenario(code)
    const ended = await kv(['simulate', file, '--seeds', '1'])
    expect(ended).toMatchObject({ code: 3, out: '' })
    expect(ended.err).toContain(`error: cannot load ${file}: `)
    expect(ended.err).toContain(reason)
  })

  test.each([
    ['waits for something that cannot happen', 'await new Promise(() => {})'],
    ['ends the process', 'process.exit()'],
  ])('because it %s', async (_, code) => {
    const file = scenario(`${code}\nexport default () => {}`)
    const ended = await spawnedKv(['simulate', file])
    expect(ended).toMatchObject({ code: 3, out: '' })
    expect(ended.err).toContain(`error: cannot load ${file}: it ends the process, or waits for`)
  })

  test('because it is not there', async () => {
    const file = join(temporaryDirectory(), 'none.ts')
    const { code, err } = await kv(['simulate', file])
    expect([code, err.split('\n')[0]]).toEqual([3, expect.stringContaining(`cannot load ${file}: `)])
  })
})

test.each([
  [['--schedule', '10 crush leader for 5'], 'expected one of crash,'],
  [['--seeds', '0'], '--seeds: it must be a whole number from 1 on'],
  [['--seed', '-1'], '--seed: it must be a whole number'],
  [['--seed', '4294967296'], '--seed: it must be from 0 to 4294967295'],
  [['--report', ''], '--report: it must not be empty'],
  [[], "missing required argument 'file'"],
])('a wrong command line: %j', async (args, message) => {
  const { code, err } = await kv(['simulate', ...(args.length === 0 ? [] : [scenario(CLERKS)]), ...args])
  expect([code, err]).toEqual([2, expect.stringContaining(message)])
})

test('the help says how to run a schedule again', async () => {
  const { out } = await kv(['help', 'simulate'])
  expect(out).toContain(`${PROGRAM} simulate ./scenario.ts --seed 4 --schedule '120 crash leader for 500'`)
})
