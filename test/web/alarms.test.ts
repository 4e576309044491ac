// Alarms of the overview: sentences with the command that mends what they say.

import { beforeAll, expect, test } from 'vitest'

interface Alarm {
  readonly kind: string
  readonly text: string
  readonly command?: string | undefined
}
interface AlarmModule {
  findAlarms(members: readonly object[], now: number, local?: object): readonly Alarm[]
}
// The types of the module need those of a browser.
const load = (path: string): Promise<unknown> => import(path)
let findAlarms: AlarmModule['findAlarms']
beforeAll(async () => {
  ;({ findAlarms } = (await load('../../web/src/pages/overview/alarms.ts')) as AlarmModule)
})

const DAY_MS = 86_400_000
const NOW = 1_000_000

const STATUS = {
  role: 'follower',
  term: 3,
  commitIndex: 5_000,
  appliedIndex: 5_000,
  revision: 400,
  diskFreeBytes: 50,
  diskTotalBytes: 100,
  certificates: [],
  errors: [],
}

const member = (name: string, status: object = {}): object => ({
  name,
  isLearner: false,
  status: { ...STATUS, ...status },
})
const LEADER = member('n1', { role: 'leader' })
const silent = (name: string): object => ({ ...member(name), error: 'no answer', silentSince: NOW - 5_000 })

test('a cluster in which all is well has no alarms', () => {
  expect(findAlarms([LEADER, member('n2'), member('n3')], NOW)).toEqual([])
})

test('a silent member is named, and so is what has become of its process in a local cluster', () => {
  const members = [LEADER, member('n2'), member('n4'), member('n5'), silent('n3')]
  const alarm = (state?: 'running' | 'paused' | 'killed') =>
    findAlarms(members, NOW, state && { nodes: [{ name: 'n3', state, url: '' }], links: [] })[0]
  expect(alarm()).toEqual({
    kind: 'problem',
    text: 'n3 has not answered for 5 s: no answer. If its process has ended, start it on its machine as before: it has its data. Replace it (Operation) only if its data is lost.',
    command: undefined,
  })
  expect(alarm('running')?.command).toBe('quorate cluster restart n3')
  expect(alarm('paused')).toMatchObject({
    text: 'n3 has not answered for 5 s: its process is paused.',
    command: 'quorate cluster resume n3',
  })
  expect(alarm('killed')).toMatchObject({
    text: 'n3 has not answered for 5 s: its process was killed.',
    command: 'quorate cluster restart n3',
  })
})

test('how long a member was silent before the page was opened is not said', () => {
  const [alarm] = findAlarms([LEADER, member('n2'), { ...silent('n3'), status: undefined }], NOW)
  expect(alarm?.text).toMatch(/^n3 has not answered since this page was opened 5 s ago: no answer\./)
})

test.each([
  ['an election', [member('n1'), member('n2')], 'No leader: an election is in progress.'],
  ['no majority', [member('n1'), silent('n2'), silent('n3')], 'No majority: 1 of 3 voters answer.'],
  ['no voter to spare', [LEADER, member('n2'), silent('n3')], 'No voter can be spared'],
  ['two voters', [LEADER, member('n2')], 'Two voters survive no failure.'],
  ['a lag', [LEADER, member('n2', { appliedIndex: 10 })], 'n2 lags 4,990 entries behind the leader.'],
  ['what a node says', [member('n1', { role: 'leader', errors: ['the disk is slow'] })], 'n1: the disk'],
])('%s is a sentence', (_, members, sentence) => {
  expect(findAlarms(members, NOW).map(({ text }) => text)).toContainEqual(expect.stringContaining(sentence))
})

test('a disk that fills and a certificate that ends come with the command that mends them', () => {
  const alarms = (status: object) => findAlarms([member('n1', { role: 'leader', ...status })], NOW)
  expect(alarms({ diskFreeBytes: 9 })).toMatchObject([{ kind: 'warning', command: 'quorate compact 399' }])
  const certificate = (days: number) => [{ file: 'n1.pem', expiresInMs: days * DAY_MS + 1 }]
  expect(alarms({ certificates: certificate(22) })).toEqual([])
  expect(alarms({ certificates: certificate(20) })).toMatchObject([
    {
      kind: 'warning',
      text: 'n1: the certificate in n1.pem ends in 20 days.',
      command: 'quorate cert renew n1',
    },
  ])
  expect(alarms({ certificates: certificate(-2) })).toMatchObject([
    { kind: 'problem', text: 'n1: the certificate in n1.pem has expired.' },
  ])
})

test('links that the supervisor has cut are named, with the command that heals them', () => {
  const link = (from: string, to: string, state = 'cut') => ({ from, to, state })
  const open = ['n1', 'n2', 'n3'].flatMap((from) => ['n4', 'n5'].map((to) => link(from, to, 'open')))
  const alarms = (...links: object[]) =>
    findAlarms([LEADER, member('n2'), member('n3')], NOW, { nodes: [], links: [...open, ...links] })
  expect(alarms()).toEqual([])
  expect(alarms(link('n1', 'n2'), link('n2', 'n1', 'reset'))).toEqual([
    {
      kind: 'warning',
      text: 'No message passes from n1 to n2, from n2 to n1.',
      command: 'quorate cluster heal',
    },
  ])
  const [many] = alarms(...['n2', 'n3', 'n4', 'n5', 'n6'].map((to) => link('n1', to)))
  expect(many?.text).toMatch(/from n1 to n5 and on 1 other link\.$/)
})

const learner = (name: string): object => ({ ...member(name), isLearner: true })

test.each([
  ['3 voters', [LEADER, member('n2'), member('n3')], false],
  ['3 voters, 1 silent', [LEADER, member('n2'), silent('n3')], true],
  [
    '3 voters, 1 silent, and 2 learners',
    [LEADER, member('n2'), silent('n3'), learner('n4'), learner('n5')],
    true,
  ],
  ['5 voters, 1 silent', [LEADER, member('n2'), member('n3'), member('n4'), silent('n5')], false],
  [
    '3 voters and a silent learner',
    [LEADER, member('n2'), member('n3'), { ...silent('n4'), isLearner: true }],
    false,
  ],
])('learners count for no majority: %s', (_, members, isSpent) => {
  const spared = findAlarms(members, NOW).some(({ text }) => text.includes('No voter can be spared'))
  expect(spared).toBe(isSpent)
})

test('a leader that does not answer is none, whatever it said last', () => {
  const texts = (members: readonly object[]) => findAlarms(members, NOW).map(({ text }) => text)
  const dead = { ...(LEADER as object), error: 'no answer', silentSince: NOW - 5_000 }
  expect(texts([dead, member('n2'), member('n3')])).toContainEqual(expect.stringContaining('No leader'))
  expect(texts([dead, silent('n2'), member('n3'), learner('n4'), learner('n5')])).toContainEqual(
    expect.stringContaining('No majority: 1 of 3 voters answer'),
  )
  const next = member('n2', { role: 'leader', term: 4 })
  for (const members of [
    [dead, next, member('n3')],
    [next, dead, member('n3')],
  ])
    expect(texts(members)).not.toContainEqual(expect.stringContaining('No leader'))
})

test('of members that say that they lead, the one of the newest term does, in whatever order they stand', async () => {
  const { findLeader } = (await load('../../web/src/cluster/member-state.ts')) as {
    findLeader(members: readonly object[]): object | undefined
  }
  const leading = (name: string, term: number): object => member(name, { role: 'leader', term })
  for (const terms of [
    [3, 4, 5],
    [5, 4, 3],
    [4, 5, 3],
    [9, 10, 8],
  ]) {
    const all = terms.map((term, at) => leading(`n${at + 1}`, term))
    const newest = all[terms.indexOf(Math.max(...terms))]
    expect(findLeader(all)).toBe(newest)
    // One that does not answer is none, whatever it said.
    expect(findLeader([...all, { ...leading('n4', 20), error: 'no answer' }])).toBe(newest)
  }
  expect(findLeader([member('n1'), member('n2')])).toBeUndefined()
})
