// One short round against real processes, through the command: who cannot be served is not, who need not wait does not,
// and no level breaks its word.

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { check, parse } from '../../../jepsen-lite/checker/index.ts'
import type { StudyResults } from '../../../jepsen-lite/study/results.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-study-'))
afterAll(() => rmSync(out, { recursive: true, force: true }))

const bin = join(import.meta.dirname, '../../../bin/jepsen-lite.js')

test('each level gives what it promises, on both sides of a real partition', async () => {
  const args =
    '--nodes 3 --rounds 1 --time 1,3.5,1 --rate 12 --timeout 900 --delay 1 --seed 3 --port 28301'.split(' ')
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [bin, 'study', ...args, '--out', out, '-o', 'json'],
    { maxBuffer: 1 << 24 },
  )
  const results: StudyResults = JSON.parse(stdout)
  expect(results).toMatchObject({
    verdict: 'pass',
    exit_code: 0,
    findings: [],
    seed: 3,
    rounds: [{ round: 1 }],
  })
  const inPartition = (level: string, side: string) => {
    const stream = results.streams.find((one) => one.level === level && one.side === side)
    expect(stream?.broken, `${level} ${side}`).toBe(0)
    return stream?.phases.during
  }
  // The minority: nothing that needs a majority, everything that does not.
  for (const level of ['write', 'linearizable'])
    expect(inPartition(level, 'minority')).toMatchObject({ answered: 0 })
  for (const level of ['session', 'stale'])
    expect(inPartition(level, 'minority')?.availability, level).toBeGreaterThan(0.8)
  // The majority: everything, after an election.
  for (const level of ['write', 'linearizable', 'lease', 'token'])
    expect(inPartition(level, 'majority')?.answered).toBeGreaterThan(0)
  expect(results.rounds[0]?.elected_ms).toBeGreaterThan(0)
  // The price of being served in the minority is old data. A token from the other side prevents that.
  const stale = inPartition('stale', 'minority')
  expect(stale?.outdated).toBeGreaterThan(0)
  expect(stale?.claimed_ms?.max).toBeGreaterThanOrEqual(stale?.behind_ms?.max ?? Number.POSITIVE_INFINITY)
  expect(inPartition('token', 'minority')).toMatchObject({
    outdated: 0,
    reasons: { revision_behind: expect.any(Number) },
  })
  expect(inPartition('bounded', 'minority')).toMatchObject({ reasons: { too_stale: expect.any(Number) } })

  expect(readdirSync(out).sort()).toEqual([
    ...['ages.svg', 'answered.svg', 'history.jsonl', 'nodes', 'study.json', 'study.md'],
  ])
  expect(JSON.parse(readFileSync(join(out, 'study.json'), 'utf8'))).toEqual(results)
  // Anyone can judge again.
  const history = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  expect(check(history)).toMatchObject({ verdict: 'pass', counts: { finals: 3 } })
})
