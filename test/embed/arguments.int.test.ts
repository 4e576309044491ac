// A mistake in what a function is given is a TypeError (a number out of its range: a RangeError) that names it, and
// nothing is started.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedCluster, NodeStartError, startCluster, startNode } from '../../src/index.ts'

const usual = process.env.TMPDIR
const place = mkdtempSync(join(tmpdir(), 'quorate-arguments-'))
beforeAll(() => {
  process.env.TMPDIR = place
})
afterAll(() => {
  process.env.TMPDIR = usual ?? ''
  rmSync(place, { recursive: true, force: true })
})

const silent = { debug() {}, info() {}, warn() {}, error() {} }

test.each<[unknown, ErrorConstructor, ...string[]]>([
  [null, TypeError, 'startCluster: options', 'null'],
  [3, TypeError, 'options', '3'],
  [{ node: 3 }, TypeError, '"node"', 'did you mean nodes?'],
  [{ nodes: '3' }, TypeError, 'nodes', '"3"'],
  [{ nodes: 0 }, RangeError, 'nodes'],
  [{ nodes: 10 }, RangeError, 'nodes'],
  [{ nodes: 2.5 }, RangeError, 'nodes'],
  [{ nodes: Number.NaN }, RangeError, 'nodes'],
  [{ dataDir: '' }, TypeError, 'dataDir'],
  [{ dataDir: 5 }, TypeError, 'dataDir', '5'],
  [{ datadir: 'x' }, TypeError, 'did you mean dataDir?'],
  [{ ports: 7301 }, TypeError, 'ports', '7301'],
  [{ ports: ['7301'] }, TypeError, 'ports', '["7301"]'],
  [{ ports: [70_000] }, TypeError, 'ports', '70000'],
  [{ ports: [] }, RangeError, 'nodes', '1 to 9, not 0'],
  [{ ports: Array.from({ length: 10 }, () => 0) }, RangeError, 'nodes', '1 to 9, not 10'],
  [{ nodes: 3, ports: [1] }, RangeError, 'ports'],
  [{ ports: [7_301, 7_301] }, RangeError, '7301', 'twice'],
  [{ timing: 5 }, TypeError, 'timing', '5'],
  [{ timing: { heartbeat: 5 } }, TypeError, 'timing', 'did you mean heartbeatMs?'],
  [{ timing: { heartbeatMs: '5' } }, TypeError, 'heartbeatMs', '"5"'],
  [
    { timing: { electionMinMs: 1e12, electionMaxMs: 2e12 } },
    NodeStartError as never,
    'electionMinMs',
    '1000000000000',
  ],
  [{ timing: { heartbeatMs: -1 } }, NodeStartError as never, 'heartbeatMs', '-1'],
  [{ timing: { commitDelayMs: Number.NaN } }, NodeStartError as never, 'commitDelayMs', 'NaN'],
  [{ timing: { heartbeatMs: 500, electionMinMs: 600 } }, NodeStartError as never, 'heartbeat'],
  [{ auth: 'secret' }, TypeError, 'auth'],
  [{ auth: {} }, TypeError, 'rootPassword'],
  [{ auth: { rootPassword: 'short' } }, TypeError, 'rootPassword', '8 characters'],
  [{ auth: { password: 'long enough' } }, TypeError, '"password"'],
  [{ readyTimeoutMs: 0 }, TypeError, 'readyTimeoutMs', 'above 0'],
  [{ logger: 'console' }, TypeError, 'logger', '"console"'],
  [{ logger: { info() {} } }, TypeError, 'logger', 'debug'],
  [{ logger: { ...silent, warn: 5 } }, TypeError, 'logger', 'warn', '5'],
])('startCluster(%j)', async (options, kind, ...says) => {
  const error = await startCluster(options as object).then(
    async (cluster) => void (await cluster.close()),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(kind)
  for (const each of says) expect((error as Error).message).toContain(each)
  expect(readdirSync(place)).toEqual([])
})

const node = {
  name: 'n1',
  dataDir: join(place, 'n1'),
  listen: { host: '127.0.0.1', port: 0 },
  peerListen: { host: '127.0.0.1', port: 0 },
  founding: { kind: 'bootstrap' },
}

test.each<[unknown, ...string[]]>([
  [undefined, 'startNode: options', 'undefined'],
  [{}, 'name', 'undefined'],
  [{ ...node, dataDir: undefined }, 'dataDir', 'undefined'],
  [{ ...node, datadir: 'x' }, 'did you mean dataDir?'],
  [{ ...node, listen: '127.0.0.1:7301' }, 'listen', '"127.0.0.1:7301"'],
  [{ ...node, listen: { host: '127.0.0.1' } }, 'listen', 'port', 'undefined'],
  [{ ...node, peerListen: { host: '127.0.0.1', port: -1 } }, 'peerListen', 'port', '-1'],
  [{ ...node, peerListen: { host: '127.0.0.1', prot: 1 } }, 'peerListen', 'did you mean port?'],
  [{ ...node, founding: 'bootstrap' }, 'founding', '"bootstrap"'],
  [{ ...node, founding: { kind: 'bootstap' } }, 'founding', 'kind', '"bootstap"'],
  [{ ...node, founding: { kind: 'bootstrap', urls: [] } }, 'founding', '"urls"'],
  [{ ...node, founding: { kind: 'join', urls: 'http://127.0.0.1:1', replace: false } }, 'urls'],
  [{ ...node, founding: { kind: 'join', urls: [] } }, 'replace', 'undefined'],
  [
    { ...node, founding: { kind: 'bootstrap', clusterId: '18446744073709551616' } },
    'clusterId',
    'below 2^64',
  ],
  [{ ...node, founding: { kind: 'existing', clusterId: '1' } }, 'founding', '"clusterId"'],
  [{ ...node, insecure: 'yes' }, 'insecure', '"yes"'],
  [{ ...node, allowedHosts: 'a' }, 'allowedHosts', '"a"'],
  [{ ...node, corsOrigins: [1] }, 'corsOrigins', '[1]'],
  [{ ...node, etcdApi: 'no' }, 'etcdApi', '"no"'],
  [{ ...node, resolvePeer: {} }, 'resolvePeer'],
  [{ ...node, advertiseUrl: 7 }, 'advertiseUrl', '7'],
  [{ ...node, advertiseUrl: '127.0.0.1:7301' }, 'advertiseUrl', '"127.0.0.1:7301"', 'http://127.0.0.1:7301'],
  [{ ...node, advertiseUrl: 'localhost:7301' }, 'advertiseUrl', '"localhost:7301"'],
  [{ ...node, advertisePeer: 'n1' }, 'advertisePeer', '"n1"', '127.0.0.1:7401'],
  [{ ...node, advertisePeer: 'n1:0' }, 'advertisePeer', '"n1:0"'],
  [{ ...node, advertisePeer: 'n1:65536' }, 'advertisePeer', '"n1:65536"'],
  [{ ...node, founding: { kind: 'join', urls: ['n1:7301'], replace: false } }, 'urls', '["n1:7301"]'],
  [{ ...node, timing: { electionMs: 5 } }, 'timing', 'did you mean election'],
  [{ ...node, logger: {} }, 'logger', 'debug'],
])('startNode(%j)', async (options, ...says) => {
  const error = await startNode(options as never).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  for (const each of says) expect((error as TypeError).message).toContain(each)
  expect(readdirSync(place)).toEqual([])
})

test('a node that is refused has changed nothing, and starts when it is asked rightly', async () => {
  const wanted = { ...node, founding: { kind: 'bootstrap' } as const }
  for (let round = 0; round < 2; round++) {
    const timing = { heartbeatMs: 5_000_000 }
    await expect(startNode({ ...wanted, timing })).rejects.toThrow('heartbeatMs')
    await expect(startNode({ ...wanted, name: 'N 1' })).rejects.toThrow('N 1')
    expect(readdirSync(place)).toEqual([])
  }
  const running = await startNode({
    ...wanted,
    timing: { heartbeatMs: undefined },
    httpLimits: { keepAliveMs: undefined },
    diskReserveBytes: undefined,
    logger: undefined,
  })
  await running.crash()
  rmSync(node.dataDir, { recursive: true })
})

describe('a cluster', () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    const timing = { heartbeatMs: undefined }
    cluster = await startCluster({
      nodes: 1,
      dataDir: undefined,
      ports: undefined,
      logger: undefined,
      timing,
    })
  })
  afterAll(() => cluster.close())

  test.each<[string, ErrorConstructor, (loose: never) => unknown, ...string[]]>([
    ['node()', TypeError, (loose: EmbeddedCluster) => loose.node(undefined as never), 'name', 'undefined'],
    ['node(1)', TypeError, (loose: EmbeddedCluster) => loose.node(1 as never), 'name', '1'],
    ["node('n7')", RangeError, (loose: EmbeddedCluster) => loose.node('n7'), 'n7', 'n1'],
    ['partition()', TypeError, (loose: EmbeddedCluster) => loose.partition(undefined as never), 'groups'],
    [
      "partition(['n1'])",
      TypeError,
      (loose: EmbeddedCluster) => loose.partition(['n1'] as never),
      "[['n1'], ['n2', 'n3']]",
    ],
    ["partition('n1')", TypeError, (loose: EmbeddedCluster) => loose.partition('n1' as never), '"n1"'],
    ['partition([[1]])', TypeError, (loose: EmbeddedCluster) => loose.partition([[1]] as never), 'groups'],
    ["partition([['n7']])", RangeError, (loose: EmbeddedCluster) => loose.partition([['n7']]), 'n7'],
    [
      'an option of partition',
      TypeError,
      (loose: EmbeddedCluster) => loose.partition([['n1'], []], { rest: true } as never),
      'did you mean reset?',
    ],
    ['client(null)', TypeError, (loose: EmbeddedCluster) => loose.client(null as never), 'options', 'null'],
    [
      'an option of client',
      TypeError,
      (loose: EmbeddedCluster) => loose.client({ timeout: 1 } as never),
      'timeoutMs',
    ],
  ])('%s', (_, kind, call, ...says) => {
    let error: unknown
    try {
      call(cluster as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(kind)
    for (const each of says) expect((error as Error).message).toContain(each)
  })

  test('takes options that are undefined', async () => {
    const kv = cluster.client({ endpoints: undefined, timeoutMs: undefined } as object)
    await kv.put('a', '1')
    expect(kv.endpoints).toEqual(cluster.endpoints)
  })

  // The last test: the cluster counts the node, and has no majority without it.
  test('is joined by a node that was given a URL with a slash at its end', async () => {
    const urls = [`${cluster.endpoints[0]}/`]
    const founding = { kind: 'join', urls, replace: false } as const
    const advertiseUrl = 'http://localhost:7301/'
    const joined = await startNode({ ...node, name: 'x2', founding, advertiseUrl })
    expect(joined.url).toBe('http://localhost:7301')
    await joined.crash()
    rmSync(node.dataDir, { recursive: true })
  })
})
