// jepsen-lite replay: files of schedules, and addresses of runs in the lab.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, test, vi } from 'vitest'
import {
  finishedRun,
  formatLink,
  Lab,
  labSchedule,
  PLAIN_X,
  parseLink,
} from '../../../jepsen-lite/lab/index.ts'
import { linkMoment, withMoment } from '../../../jepsen-lite/lab/link-moment.ts'
import { formatScheduleFile, generate, runSchedule } from '../../../jepsen-lite/sim/index.ts'
import { Recorder } from '../../../jepsen-lite/workload/history.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runCommand } from './run-command.ts'

function fileWith(text: string): string {
  const path = join(temporaryDirectory(), 'schedule')
  writeFileSync(path, text)
  return path
}

/** A leader that is cut off answers a read: the rule of the simulator is broken at 3600 ms. */
const STALE_READ =
  'seed=9,rule=read-without-round,nodes=3,spares=0,ms=6000;1600:put,client=0,node=leader,key=0,x=41;' +
  '2000:isolate,target=leader,ms=3000,stalls=false,refuses=false,breaks=false;' +
  '3300:put,client=1,node=leader,key=0,x=41;3600:get,client=2,node=0,key=0,x=41'

test('a run that the simulator lets pass and the checker does not ends as a violation', async () => {
  onTestFinished(() => void vi.restoreAllMocks())
  const { ok } = Recorder.prototype
  vi.spyOn(Recorder.prototype, 'ok').mockImplementation(function (this: Recorder, id, result) {
    ok.call(this, id, 'value' in result ? { ...result, value: 'a value that nobody has written' } : result)
  })
  const text =
    'seed=1,nodes=3,spares=0,ms=3000;1600:put,client=0,node=leader,key=0,x=41;2000:get,client=1,node=leader,key=0,x=41'
  const { status, stdout } = await runCommand('replay', fileWith(text))
  expect(stdout).toContain('no rule is broken; trace ')
  expect(stdout).toMatch(/^BROKEN for its clients: /m)
  expect(status).toBe(1)
})

test('a run of the lab has the same hash', async () => {
  const lab = new Lab(labSchedule(3, { nodes: 3, spares: 0 }))
  lab.runTo(2500)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: PLAIN_X })
  lab.runTo(3000)
  const { schedule, trace } = finishedRun(lab)
  // The moment at which the page shows it makes no difference.
  const path = fileWith(`http://127.0.0.1:7360/#${withMoment(formatLink(schedule), 2600)}\n`)
  const { status, stdout } = await runCommand('replay', path)
  expect(status).toBe(0)
  expect(stdout).toContain(`no rule is broken; trace ${trace}`)
})

describe('the address of a schedule in the lab', () => {
  const linkIn = (stdout: string): string =>
    /^http:\/\/127\.0\.0\.1:7360\/#(\S+)\n$/.exec(stdout)?.[1] ?? expect.fail(stdout)

  it('has the schedule', async () => {
    const schedule = generate(49, 1)
    const { status, stdout, stderr } = await runCommand('replay', fileWith(JSON.stringify(schedule)), '--lab')
    expect([status, stderr]).toEqual([0, ''])
    expect(parseLink(linkIn(stdout))).toEqual(schedule)
    expect(linkMoment(linkIn(stdout))).toBeUndefined()
  })

  it('opens shortly before the violation', async () => {
    const schedule = labSchedule(3, {
      ...{ nodes: 2, spares: 0, ms: 1000, delayMs: 3000, electionMinMs: 800, electionMaxMs: 1500 },
    })
    const { status, stdout, stderr } = await runCommand('replay', fileWith(formatLink(schedule)), '--lab')
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^LIVE-1: n1 n2 did not converge/)])
    const { violation } = runSchedule(schedule)
    const lab = new Lab(schedule)
    lab.runTo(linkMoment(linkIn(stdout)) ?? expect.fail('no moment'))
    expect(lab.view().violation).toBeUndefined()
    for (let steps = 0; steps < 10_000 && lab.view().violation === undefined; steps++) lab.step()
    expect([lab.view().violation, lab.now]).toEqual([violation?.detail, violation?.atMs])
  })

  it('does not open at the moment of its file, where the run breaks at another', async () => {
    const { rule, ...right } = parseLink(STALE_READ)
    const schedule = { ...right, rule: rule ?? expect.fail('no rule') }
    const file = { detail: 'READ-1: as it was', at: 120, schedule }
    const { stdout } = await runCommand('replay', fileWith(formatScheduleFile(file)), '--lab')
    const { violation } = runSchedule(schedule)
    expect(linkMoment(linkIn(stdout))).toBeGreaterThan((violation?.atMs ?? expect.fail('no violation')) - 200)
  })

  it('opens at the moment that its file names, where no rule is broken any more', async () => {
    const file = { detail: 'REST-2: a flag stays set', at: 120, schedule: generate(49, 1) }
    const { stdout, stderr } = await runCommand('replay', fileWith(formatScheduleFile(file)), '--lab')
    expect(linkMoment(linkIn(stdout))).toBe(120)
    expect(stderr).toBe('no rule is broken any more; it was REST-2: a flag stays set\n')
  })
})

test('a schedule whose clients use a recipe has no address', async () => {
  const recipe = { name: 'lock', processes: 1, faults: [] }
  const { status, stderr } = await runCommand(
    'replay',
    fileWith(JSON.stringify({ ...generate(7), recipe })),
    '--lab',
  )
  expect([status, stderr]).toEqual([3, expect.stringContaining('the lab runs no clients with recipes')])
})

test('a run with a wrong rule is replayed with it', async () => {
  const text = 'seed=7,rule=acknowledged-before-durable,ms=4000;3000:put,client=0,node=leader,key=0,x=41'
  const { stdout } = await runCommand('replay', fileWith(text))
  expect(stdout).toMatch(/^In this cluster a rule of Raft is wrong: a follower acknowledges an entry before /)
  const schedule = parseLink(text)
  const { trace } = runSchedule(schedule)
  expect(stdout).toContain(`; trace ${trace}\n`)
  const { rule, ...right } = schedule
  expect([rule, runSchedule(right).trace]).toEqual([
    'acknowledged-before-durable',
    expect.not.stringMatching(trace),
  ])
})
