// A table: every command that writes and ends, while each change has an unknown outcome several times. With a write id
// the command asks until it knows, and ends as usual. Without one it says once that the outcome is unknown.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { queue } from '../../src/recipes/index.ts'
import { unsureRelay } from '../unsure-relay.ts'
import { kv as run } from './run-kv.ts'

let cluster: EmbeddedCluster
let own: Client
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  own = cluster.client()
  await own.roles.put('some', [])
  await own.users.put('somebody', { roles: ['some'] })
})
afterAll(() => cluster.close())

interface Row {
  readonly args: string
  readonly stdin?: string
  /** The step before, whose result is added to the arguments. */
  readonly before?: (name: string) => Promise<unknown>
  /** Preparation of the cluster, whose result is added to the arguments. */
  readonly after?: readonly [read: (name: string) => Promise<unknown>, expected: unknown]
}

const version = async (name: string) => (await own.get(name))?.version
const put = async (name: string) => void (await own.put(name, 'v'))
const lengthOf = (name: string) => queue(own, name).len()

/** `NAME` is a name for each row and test. */
const WITH_WRITE_ID: readonly Row[] = [
  { args: 'put NAME v', after: [version, 1] },
  { args: 'put NAME v --ttl 1h', after: [version, 1] },
  { args: 'put NAME v --if-absent', after: [version, 1] },
  { args: 'del NAME', before: put, after: [version, undefined] },
  { args: 'del NAME other --atomic', before: put, after: [version, undefined] },
  { args: 'del --prefix NAME --yes', before: put, after: [version, undefined] },
  { args: 'txn', stdin: '{"success":[{"put":{"key":"NAME","value":"v"}}]}', after: [version, 1] },
  { args: 'compact 1' },
  { args: 'lease grant 1h' },
  { args: 'lease revoke', before: async () => (await own.grantLease({ ttlMs: 3_600_000 })).id },
  { args: 'lock NAME -- true', after: [async (name) => own.count({ prefix: `lock/${name}/` }), 0] },
  { args: 'elect NAME v -- true', after: [async (name) => own.count({ prefix: `election/${name}/` }), 0] },
  { args: 'queue push NAME v', after: [lengthOf, { ready: 1, held: 0, dead: 0 }] },
  {
    args: 'queue pop NAME',
    before: async (name) => void (await queue(own, name).push('v')),
    after: [lengthOf, { ready: 0, held: 0, dead: 0 }],
  },
  {
    args: 'queue requeue NAME',
    before: async (name) => {
      const jobs = queue(own, name, { attemptsMax: 1 })
      await jobs.push('v')
      await (await jobs.pop())?.nack()
    },
    after: [lengthOf, { ready: 1, held: 0, dead: 0 }],
  },
  { args: 'import -', stdin: '{"key":"NAME","value":"v"}\n', after: [version, 1] },
  { args: 'settings set value_bytes_max=1048576' },
]

const WITHOUT_WRITE_ID: readonly Row[] = [
  { args: 'settings set leases=on' },
  { args: 'user passwd somebody --password-file -', stdin: 'a long password\n' },
  { args: 'user delete somebody' },
  { args: 'role delete some' },
  { args: 'auth disable' },
  { args: 'member add n9 --replica-id 9 --peer 127.0.0.1:9 --url http://127.0.0.1:9' },
  { args: 'member remove n1 --yes' },
  { args: 'leader transfer n1' },
]

/** They name the revision of users and roles that they change, so at most one copy is applied. */
const UNDER_A_REVISION: readonly Row[] = [
  { args: 'user add NAME --no-password' },
  { args: 'user grant somebody some' },
  { args: 'role add NAME' },
  { args: 'role grant some read --all' },
]

const LOSSES = 4

/** Exit code, the numbers of tries, and what is there afterwards. */
async function through(
  { args, stdin = '', before, after }: Row,
  name: string,
  done: boolean,
  timeout = '60s',
) {
  const more = await before?.(name)
  await using relay = await unsureRelay(cluster.endpoints[0] ?? '', { losses: LOSSES, done })
  const words = `${args}${more === undefined ? '' : ` ${more}`}`.replace('NAME', name).split(' ')
  const timed = words.includes('--')
    ? words.toSpliced(words.indexOf('--'), 0, '--timeout', timeout)
    : [...words, '--timeout', timeout]
  const { code, err } = await run(timed, { endpoints: relay.url, stdin: stdin.replace('NAME', name) })
  return [args, code === 0 ? 0 : `${code} ${err}`, [...new Set(relay.tries.values())], await after?.[0](name)]
}

test.each([true, false])('with a write id a command asks until it knows; done: %s', async (done) => {
  const rows = WITH_WRITE_ID.map((row, at) => through(row, `w-${at}-${done}`, done))
  const expected = WITH_WRITE_ID.map(({ args, after }) => [args, 0, [LOSSES + 1], after?.[1]])
  expect(await Promise.all(rows)).toEqual(expected)
})

const SAID = expect.stringMatching(/^6 .*the outcome is unknown/s)

test('without a write id a command sends its change once', async () => {
  const rows = WITHOUT_WRITE_ID.map((row, at) => through(row, `b-${at}`, false))
  const expected = WITHOUT_WRITE_ID.map(({ args }) => [args, SAID, [1], undefined])
  expect(await Promise.all(rows)).toEqual(expected)
})

test('under a revision of users and roles a command sends its change until its time is over', async () => {
  const rows = UNDER_A_REVISION.map((row, at) => through(row, `r-${at}`, false, '5s'))
  const expected = UNDER_A_REVISION.map(({ args }) => [
    args,
    SAID,
    expect.not.arrayContaining([1]),
    undefined,
  ])
  expect(await Promise.all(rows)).toEqual(expected)
})
