// jepsen-lite sim: what it says of a violation, and that its file, its address and the lab show the same run.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { formatLink, Lab, parseLink, parseRunFile } from '../../../jepsen-lite/lab/index.ts'
import { linkMoment, withMoment } from '../../../jepsen-lite/lab/link-moment.ts'
import { NOTHING_RARE } from '../../../jepsen-lite/sim/coverage.ts'
import { type FoundViolation, runSchedule, type Schedule, Search } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
import { LabAnswers } from '../../../web/src/lab/lab-answers.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runCommand } from './run-command.ts'

// A leader that is cut off answers a read. The other lines are no part of that.
const BREAKS = parseLink(
  [
    'seed=9,rule=read-without-round,nodes=3,spares=0,ms=6000',
    ...['600:put,client=1,node=leader,key=1,x=41', '1600:put,client=0,node=leader,key=0,x=41'],
    ...['2000:isolate,target=leader,ms=3000,stalls=false,refuses=false,breaks=false'],
    ...['3300:put,client=1,node=leader,key=0,x=41', '3600:get,client=2,node=0,key=0,x=41'],
    ...['3700:put,client=2,node=leader,key=1,x=41', '5500:slow-disk,target=1,factor=2,ms=100'],
  ].join(';'),
)

/** A search that finds this violation in each of its schedules, and has time for few attempts to shrink one. */
function findsIn(schedule: Schedule, violation: FoundViolation['violation']): void {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 500))
  const result = runSchedule(BREAKS)
  vi.spyOn(Search.prototype, 'run').mockImplementation(function (this: Search, seed) {
    this.schedules++
    return { seed, rare: NOTHING_RARE, schedule, result, violation }
  })
}

test('a violation has a file and an address, which show the same run from the same moment', async () => {
  await loadRule(BREAKS.rule)
  const violation = runSchedule(BREAKS).violation ?? expect.fail('no rule is broken')
  findsIn(BREAKS, violation)
  const out = temporaryDirectory()
  const { status, stdout } = await runCommand('sim', '--seed', '7', '--schedules', '2', '--out', out)
  expect(status).toBe(1)
  const [file = ''] = readdirSync(out).map((name) => join(out, name))
  const text = readFileSync(file, 'utf8')
  const [, address = ''] =
    /^ {2}in the lab \(quorate lab\): http:\/\/127\.0\.0\.1:7360\/#(\S+)$/m.exec(stdout) ?? []
  expect(stdout.slice(stdout.indexOf('VIOLATION')).split('\n')).toEqual([
    `VIOLATION (seed 7): ${parseRunFile(text).detail}`,
    expect.stringMatching(/^ {2}shrunk to \d faults? and \d operations: jepsen-lite replay /),
    `  in the lab (quorate lab): http://127.0.0.1:7360/#${address}`,
    // The schedule of the second one breaks the same rule, so it is not shrunk and not kept.
    `VIOLATION (seed 8): ${violation.detail}`,
    '2 violations',
    '',
  ])
  expect(stdout).toContain(`jepsen-lite replay ${file}\n`)

  const { schedule, at, detail } = parseRunFile(text)
  expect(schedule).not.toEqual(BREAKS)
  expect(detail).toMatch(/^READ-1: /)
  expect(address).toBe(withMoment(formatLink(schedule), at))
  expect(new LabAnswers(() => 0).answer({ kind: 'read', text })).toEqual({
    kind: 'read',
    link: address,
    detail,
  })
  expect(await runCommand('replay', file, '--lab')).toEqual({
    ...{ status: 0, stdout: `http://127.0.0.1:7360/#${address}\n` },
    stderr: `${detail}\n`,
  })

  const lab = new Lab(parseLink(address))
  lab.runTo(linkMoment(address) ?? expect.fail('no moment'))
  expect(lab.view().violation).toBeUndefined()
  expect(lab.now).toBeGreaterThan(3000)
  lab.runTo(schedule.config.ms)
  expect(lab.view().violation).toBe(detail)
})
