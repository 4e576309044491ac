// Clients of the lab that use a lock.

import { expect, it } from 'vitest'
import { finishedRun, Lab, labSchedule, parseLink, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import { LabRun } from '../../../jepsen-lite/lab/lab-run.ts'

const LINES = [
  '2000:lock,client=0,node=leader,key=0,x=0',
  '2300:write,client=0,node=leader,key=0,x=0',
  '2600:lock,client=1,node=1,key=0,x=0',
  '3000:stand-still,client=0,node=0,key=0,x=6000',
  '3500:write,client=0,node=leader,key=0,x=0',
  '3600:fenced-write,client=0,node=leader,key=0,x=0',
  '7500:lock,client=1,node=1,key=0,x=0',
  '8000:fenced-write,client=1,node=1,key=0,x=0',
  '9500:release,client=1,node=1,key=0,x=0',
  '10000:lock,client=0,node=leader,key=0,x=0',
]

const answersIn = (run: Pick<Lab, 'view'>): string[] =>
  run.view().operations.map(({ client, text, outcome, answer }) => `${client} ${text}: ${outcome}, ${answer}`)

it('a client that stood still holds no lock any more, and its token is refused', () => {
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...LINES].join(';')))
  run.runTo(12_000)
  expect(answersIn(run)).toEqual([
    'c1 take the lock: ok, token 2',
    'c1 write c1.0: ok, written',
    'c2 take the lock: failed, another client holds it',
    'c2 take the lock: ok, token 5',
    'c2 write c2.0 with token 5: ok, written',
    'c1 write c1.1: ok, written',
    'c1 write c1.2 with token 2: failed, the lock no longer has token 2',
    'c2 release the lock: ok, released',
    'c1 take the lock: ok, token 9',
  ])
  expect(run.view().notes.map(({ text }) => text)).toContain(
    'c1 learns that its lease has ended: it no longer holds the lock.',
  )
})

it('such a run breaks no rule: its leases end with the clients', () => {
  const { violation } = finishedRun({
    schedule: parseLink(['seed=1,nodes=3', ...LINES].join(';')),
    now: 12_000,
  })
  expect(violation).toBeUndefined()
})

it('a holder that runs keeps its lease alive, whether its node runs or not', () => {
  const run = new LabRun(
    parseLink(
      [
        'seed=1,nodes=3',
        '2000:lock,client=0,node=1,key=0,x=0',
        '3000:crash,target=1,point=now,skip=0,inFlight=lost,silent=false,ms=60000',
        '20000:fenced-write,client=0,node=leader,key=0,x=0',
      ].join(';'),
    ),
  )
  run.runTo(21_000)
  expect(answersIn(run).at(-1)).toBe('c1 write c1.0 with token 2: ok, written')
})

it('a run to which such lines are added is the run of its schedule', () => {
  const lab = new Lab(labSchedule(1, { nodes: 3 }))
  for (const [at, line] of LINES.map((text) => text.split(/:(.*)/))) {
    lab.runTo(Number(at) - 1)
    lab.add(parseNewLine(line ?? ''))
  }
  lab.runTo(12_000)
  const again = new LabRun(lab.schedule)
  again.runTo(12_000)
  expect(again.trace).toBe(lab.trace)
  expect(answersIn(again)).toEqual(answersIn(lab))
})

it('a holder keeps its lease alive after a time in which no node runs', () => {
  const run = new LabRun(
    parseLink(
      [
        'seed=1,nodes=3',
        '2000:lock,client=0,node=1,key=0,x=0',
        '3000:crash-many,places=(0+1+2),inFlight=(lost+lost+lost),silent=false,ms=1500',
        '20000:fenced-write,client=0,node=leader,key=0,x=0',
      ].join(';'),
    ),
  )
  run.runTo(21_000)
  expect(answersIn(run).at(-1)).toBe('c1 write c1.0 with token 2: ok, written')
})

it('a client that stands still for longer than it is told to meanwhile continues at the later end', () => {
  const run = new LabRun(
    parseLink(
      [
        'seed=1,nodes=3',
        '2000:stand-still,client=0,node=0,key=0,x=3000',
        '2500:stand-still,client=0,node=0,key=0,x=500',
        '3500:write,client=0,node=leader,key=0,x=0',
      ].join(';'),
    ),
  )
  run.runTo(4900)
  expect(run.view().operations).toEqual([])
  expect(run.view().standstills.map(({ until }) => until)).toEqual([5000, 5000])
  run.runTo(5500)
  expect(run.view().operations).toMatchObject([{ text: 'write c1.0', from: 5000 }])
})

it('a request keeps its id when more follow than a view has', () => {
  const writes = Array.from(
    { length: 70 },
    (_, at) => `${2000 + 100 * at}:write,client=0,node=leader,key=0,x=0`,
  )
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...writes].join(';')))
  const ids = (ms: number): ReadonlyMap<string, number> => {
    run.runTo(ms)
    return new Map(run.view().operations.map(({ text, id }) => [text, id]))
  }
  const before = ids(8500)
  const after = ids(9500)
  const both = [...after].filter(([text]) => before.has(text))
  expect(both.length).toBeGreaterThan(40)
  expect(both.length).toBeLessThan(60)
  expect(both).toEqual(both.map(([text]) => [text, before.get(text)]))
})

it('a lock that was taken again is not lost by a late answer about the lease before', () => {
  const run = new LabRun(
    parseLink(
      [
        'seed=1,nodes=3',
        '2000:lock,client=0,node=1,key=0,x=0',
        // The holder has asked n2 to keep its lease alive. The leader learns of it after the lease has ended.
        '2600:slow-link,from=1,delayMs=1500,ms=4000',
        '4000:release,client=0,node=leader,key=0,x=0',
        '4020:lock,client=0,node=leader,key=0,x=0',
        '14000:fenced-write,client=0,node=leader,key=0,x=0',
      ].join(';'),
    ),
  )
  run.runTo(15_000)
  expect(answersIn(run)).toEqual([
    'c1 take the lock: ok, token 2',
    'c1 release the lock: ok, released',
    'c1 take the lock: ok, token 4',
    'c1 write c1.0 with token 4: ok, written',
  ])
})

it('a lock that is taken again from an earlier moment is in the run of its schedule, and so are lists', () => {
  const lab = new Lab(labSchedule(1, { nodes: 3 }))
  const lock = parseNewLine('lock,client=0,node=leader,key=0,x=0')
  for (const at of [3000, 2000]) {
    lab.runTo(at)
    lab.add(lock)
    lab.runTo(at + 1000)
  }
  for (let x = 0; x < 8; x++) {
    lab.add({ kind: 'range', client: 1, node: 'leader', key: 0, x })
    lab.runTo(lab.now + 300)
  }
  const again = new LabRun(lab.schedule)
  again.runTo(lab.now)
  expect(again.trace).toBe(lab.trace)
  expect(again.view().operations).toEqual(lab.view().operations)
})

it('a lock whose lease has ended cannot be released', () => {
  const run = new LabRun(
    parseLink(
      [
        'seed=1,nodes=3',
        '2000:lock,client=0,node=leader,key=0,x=0',
        '2300:stand-still,client=0,node=0,key=0,x=6000',
        '2400:release,client=0,node=leader,key=0,x=0',
      ].join(';'),
    ),
  )
  run.runTo(10_000)
  expect(answersIn(run).at(-1)).toBe('c1 release the lock: failed, lease not found')
})

it('a client has one request at a time, and a client beyond the last is one of them', () => {
  const line = (kind: string, client: number) => `2000:${kind},client=${client},node=leader,key=0,x=0`
  const lines = [line('lock', 1), line('write', 4), line('write', 1)]
  const later = ['2300:put,client=0,node=leader,key=0,x=41', '2500:release,client=1,node=leader,key=0,x=0']
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...lines, ...later].join(';')))
  run.runTo(3000)
  const { operations } = run.view()
  expect(operations.map(({ client, text }) => `${client} ${text}`)).toEqual([
    'c2 take the lock',
    'c2 write c2.0',
    'c2 write c2.1',
    'c1 put k0 = "c1.0"',
    'c2 release the lock',
  ])
  const ofLock = operations.filter(({ client }) => client === 'c2')
  for (const [at, { until = Number.POSITIVE_INFINITY }] of ofLock.entries())
    expect(ofLock[at + 1]?.from ?? until).toBeGreaterThanOrEqual(until)
})

it.each([2001, 2020, 2060, 2120])(
  'a run that ends at %i ms, while a lock is taken, breaks no rule',
  (now) => {
    const schedule = parseLink('seed=1,nodes=3;2000:lock,client=0,node=leader,key=0,x=0')
    const { violation } = finishedRun({ schedule, now })
    expect(violation).toBeUndefined()
  },
)

it('the grant, the renewal and the end of a lease are sentences with their reasons', () => {
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...LINES].join(';')))
  run.runTo(12_000)
  const told = run.view().notes.flatMap(({ kind, text }) => (kind === 'lease' ? [text] : []))
  expect(told[0]).toBe('c1 has a lease. It ends when no keep-alive of c1 reaches the leader for 4.0 s.')
  const end = 'ends: no keep-alive has reached the leader for 4.0 s.'
  expect(told).toContain(`The lease of c1 ${end} Every node deletes its key job/lock: the lock is free.`)
  expect(told).toContain(`The lease of c2 ${end} It has no key.`)
  expect(told).toContain('c2 keeps its lease alive: n2 answers that it lasts another 4.0 s.')
  expect(told).toContain('The lease of c2 is revoked. Every node deletes its key job/lock: the lock is free.')
})

it('a view has the time in which a client stands still, and a sentence for what it puts off', () => {
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...LINES].join(';')))
  run.runTo(3550)
  const { standstills, notes } = run.view()
  expect(standstills).toEqual([{ client: 'c1', from: 3000, until: 9000 }])
  expect(notes.at(-1)?.text).toBe(
    'c1 stands still. It will write what the lock protects when it continues, at 9.0 s.',
  )
})

it('a client that has nothing to do says why', () => {
  const lines = ['release', 'fenced-write', 'lock', 'lock'].map(
    (kind, at) => `${2000 + 500 * at}:${kind},client=0,node=leader,key=0,x=0`,
  )
  const run = new LabRun(parseLink(['seed=1,nodes=3', ...lines].join(';')))
  run.runTo(4000)
  const told = run.view().notes.map(({ text }) => text)
  for (const why of ['it holds no lock', 'it has no token', 'it believes that it holds the lock'])
    expect(told).toContain(`c1 does nothing: ${why}.`)
})

it('a client that took the lock writes other keys too', () => {
  const run = new LabRun(
    parseLink(
      'nodes=3;2000:lock,client=1,node=leader,key=0,x=0;3000:put,client=1,node=leader,key=1,x=41;' +
        '4000:lock,client=2,node=leader,key=0,x=0;5000:put,client=2,node=leader,key=1,x=41',
    ),
  )
  run.runTo(6000)
  expect(run.view().violation).toBeUndefined()
  expect(answersIn(run).filter((text) => text.includes('put k1'))).toHaveLength(2)
})
