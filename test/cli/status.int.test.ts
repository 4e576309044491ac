// kv status --all: the health of all members from one address.

import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memberJson, RelayedNode } from '../client/relayed-node.ts'
import { kv, startKv } from './run-kv.ts'

const DAY_S = 86_400

let n1: RelayedNode
let n2: RelayedNode

beforeEach(async () => {
  n1 = await RelayedNode.start()
  n2 = await RelayedNode.start({ name: 'n2', peer: n1 })
  for (const node of [n1, n2]) {
    node.members = [n1, n2]
    node.kv.appliedIndex = node === n1 ? 100 : 93
  }
  n1.kv.matchIndex = () => 95
})

afterEach(() => Promise.all([n1.close(), n2.close()]))

const status = (args: string, more: Parameters<typeof kv>[1] = {}) =>
  kv(['status', '--all', ...args.split(' ')], { endpoints: n1.url, ...more })

test('all is well: exit code 0, with the lag of each member', async () => {
  const { code, out, err } = await status('-o json')
  expect([code, err]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({
    ...{ cluster_id: '77', leader: 'n1', term: 3, problems: [] },
    nodes: [
      { name: 'n1', state: 'running', log_lag: 0, apply_lag: 0, version: '1.2.3' },
      { name: 'n2', url: n2.url, state: 'running', log_lag: 5, apply_lag: 7, last_backup_age_ms: null },
    ],
  })
})

test('a leader that has not heard from a member yet: its lag is unknown', async () => {
  n1.kv.matchIndex = () => 0
  expect(JSON.parse((await status('-o json')).out).nodes[1]).toMatchObject({ log_lag: null, apply_lag: 7 })
  expect((await status('-o table')).out).toMatch(/^n2 +\S+ +\w+ +3 +- +7/m)
})

test('the leader is that of the newest term, also if a member that is cut off names itself', async () => {
  Object.assign(n1.kv, { term: 2 })
  Object.assign(n2.kv, { role: 'leader' })
  n2.leader = 'n2'
  expect(JSON.parse((await status('-o json')).out)).toMatchObject({ leader: 'n2', term: 3 })
})

test('members are listed by what another node knows while the leader does not answer', async () => {
  n1.kv.role = 'follower'
  n1.leader = 'n2'
  const endpoints = `${n1.url},${n2.url}`
  await n2.close()
  const { code, out } = await kv(['member', 'list'], { endpoints })
  expect([code, out.replaceAll(/\t.*/g, '')]).toEqual([0, 'n1\nn2\n'])
})

test('an endpoint that the user has named, and that is no member, is a problem', async () => {
  const n3 = await RelayedNode.start({ name: 'n3', peer: n1 })
  n3.members = [n1, n2]
  try {
    const named = [n1.url, n3.url, 'http://127.0.0.1:1'].join()
    const { code, out, err } = await status('-o json', { endpoints: named })
    expect(code).toBe(1)
    expect(err.split('\n')).toEqual([
      `${n3.url} is named as an endpoint, and its node n3 is no member`,
      expect.stringMatching(
        /^http:..127.0.0.1:1 is named as an endpoint, and no member has this address: cannot connect to .*: connection refused$/,
      ),
      '',
    ])
    expect(JSON.parse(out).nodes.map(({ name }: { name: string }) => name)).toEqual(['n1', 'n2'])
    // A member behind another address, such as a tunnel, is a member.
    n3.members = [n1, n2, n3]
    for (const node of [n1, n2]) node.members = n3.members
    const localhost = n3.url.replace('127.0.0.1', 'localhost')
    expect(await status('-o json', { endpoints: [n1.url, localhost].join() })).toMatchObject({
      code: 0,
      err: '',
    })
  } finally {
    await n3.close()
  }
})

test.each<[string, () => void | Promise<void>, number, RegExp]>([
  ['a member does not answer', () => n2.close(), 1, /^n2 does not answer: cannot connect to http/],
  [
    'a member has a problem',
    () => void Object.assign(n2.kv, { errors: ['disk full'] }),
    1,
    /^n2: disk full\n$/,
  ],
  [
    'a certificate expires soon',
    () => void Object.assign(n2.kv, { certificates: [{ file: 'a.crt', seconds: 13.9 * DAY_S }] }),
    1,
    /^n2: a\.crt expires in 13d\n$/,
  ],
  [
    'a certificate has expired',
    () => void Object.assign(n1.kv, { certificates: [{ file: 'a.crt', seconds: -1 }] }),
    1,
    /^n1: a\.crt has expired\n$/,
  ],
  [
    'nobody knows a leader',
    () => void [n1, n2].map((node) => Object.assign(node, { leader: undefined })),
    5,
    /^no node that answers knows a leader/,
  ],
])('%s: named, with an exit code', async (_, change, code, problem) => {
  await change()
  const ended = await status('-o json')
  expect(ended).toMatchObject({ code, err: expect.stringMatching(problem) })
  const { problems } = JSON.parse(ended.out)
  expect(ended.err).toBe(`${problems.join('\n')}\n`)
  // Without --all the command reports, and judges nothing.
  expect(await kv(['status'], { endpoints: n1.url })).toMatchObject({ code: 0 })
})

test('a certificate that is valid for long is shown, and no problem', async () => {
  n1.kv.certificates = [89.5, 200].map((days) => ({ file: `${days}.crt`, seconds: days * DAY_S }))
  const table = await status('-o table')
  expect(table.code).toBe(0)
  expect(table.out.split('\n')[0]).toMatch(/CERT {2}VERSION$/)
  expect(table.out).toMatch(/^n1 .* leader .* 86 GB 80% {3}89d {2}1\.2\.3$/m)
})

test('no node answers: exit code 7, and no table', async () => {
  const endpoints = n1.url
  await n1.close()
  expect(await kv(['status', '--all', '-o', 'table'], { endpoints })).toMatchObject({ code: 7, out: '' })
})

test('--watch reports again, also while no node answers; Ctrl-C ends it with 130', async () => {
  const running = startKv(['status', '--all', '--every', '5ms', '-o', 'json'], {
    endpoints: n1.url,
  })
  expect(JSON.parse(await running.line())).toMatchObject({ leader: 'n1', problems: [] })
  await Promise.all([n1.close(), n2.close()])
  await running.printed(/"leader":null.*"state":"unreachable".*"state":"unreachable"/)
  running.signal('SIGINT')
  expect((await running.ended).code).toBe(130)
})

test('--watch through a tunnel: the members cannot be reached at their URLs, and the given endpoint still answers', async () => {
  for (const node of [n1, n2])
    Object.assign(node, { members: [memberJson('n1', 'http://127.0.0.1:9'), memberJson('n2', n2.url)] })
  const running = startKv(['status', '--all', '--every', '5ms', '-o', 'json'], { endpoints: n1.url })
  for (let report = 0; report < 3; report++)
    expect(JSON.parse(await running.line()).nodes).toMatchObject([
      { name: 'n1', state: 'running' },
      { name: 'n2', state: 'running' },
    ])
  running.signal('SIGINT')
  await running.ended
})

test('--watch on a terminal draws over the last report, no wider than the terminal', async () => {
  const certificates = [{ file: 'a.crt', seconds: 300 * DAY_S }]
  for (const node of [n1, n2]) node.kv.certificates = certificates
  const running = startKv(['status', '--all', '--watch', '--every', '5ms'], {
    ...{ endpoints: n1.url, terminals: ['stdout'], columns: 70 },
  })
  await running.printed(/n2 .*n2 /s)
  running.signal('SIGINT')
  const { out, code } = await running.ended
  expect(code).toBe(130)
  const [before, first] = out.split('\u001b[H\u001b[J')
  expect(before).toBe('')
  const lines = stripVTControlCharacters(first ?? '').split('\n')
  expect(lines[0]).toMatch(/^cluster 77, leader n1, .*Ctrl-C ends$/)
  expect(lines.filter((line) => line.length > 70)).toEqual([])
})
