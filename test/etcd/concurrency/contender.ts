// A contender with the recipes, or with etcd's services Lock and Election: it enters critical sections one after the
// other, and does in each what contender.go does.
//
//   node contender.ts CLIENT ENDPOINTS KIND NAME_OF_RECIPE NAME SECTIONS
//
// CLIENT: `quorate` or `etcd` with the recipes, `service` with the services.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../../src/client/index.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcError } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { EtcdClient } from '../../../src/etcd-client/index.ts'
import { campaign, leaderOf, lock } from '../../../src/recipes/index.ts'

const [library = '', endpointList = '', kind = '', recipeName = '', name = '', sections = ''] =
  process.argv.slice(2)
const endpoints = endpointList.split(',')
const TTL_S = 20
const INSIDE_MS = 3

interface Held {
  readonly token: number
  release(): Promise<unknown>
}

const kv =
  library === 'etcd'
    ? new EtcdClient({ endpoints, timeoutMs: 20_000 })
    : new Client({ endpoints, timeoutMs: 20_000 })

/** A node may be killed meanwhile: the same request is right again. */
async function again<T>(what: string, request: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await request()
    } catch (error) {
      console.error(`${what}: ${error instanceof Error ? error.message : error}`)
      await sleep(50)
    }
  }
}

async function enterByRecipe(): Promise<Held> {
  if (kind === 'lock') return lock(kv, recipeName, { ttlMs: TTL_S * 1_000 })
  const lead = await campaign(kv, recipeName, { ttlMs: TTL_S * 1_000, value: name })
  const leader = (await leaderOf(kv, recipeName))?.text()
  if (leader !== name) console.log(`wrong: ${name} leads, and the leader is ${leader}`)
  return lead
}

// Each endpoint in its turn.
const nodes = endpoints.map((endpoint) => new GrpcClient({ endpoint }))
let turn = 0
const nextNode = (): GrpcClient => nodes[turn++ % nodes.length] as GrpcClient
let lease = 0n

async function enterByService(): Promise<Held> {
  const prefix = Buffer.from(`${kind}/${recipeName}`)
  lease ||= (await nextNode().unary(RPC.leaseGrant, { ttl: 600 })).id
  const key = await again('enter', async () => {
    if (kind === 'lock') return (await nextNode().unary(RPC.lock, { name: prefix, lease })).key
    const { leader } = await nextNode().unary(RPC.campaign, { name: prefix, lease, value: Buffer.from(name) })
    if (leader === undefined) throw new GrpcError(13, 'no leader in a response')
    return leader.key
  })
  const token = await again('token', async () => (await kv.get(key))?.createRevision)
  if (token === undefined) console.log(`wrong: ${name} is inside, and its key is gone`)
  const release = () =>
    kind === 'lock'
      ? nextNode().unary(RPC.unlock, { key })
      : nextNode().unary(RPC.resign, { leader: { name: prefix, key, rev: token ?? 0, lease } })
  return { token: token ?? 0, release }
}

for (let at = 0; at !== Number(sections); at++) {
  const held = await again('enter', library === 'service' ? enterByService : enterByRecipe)
  const { token } = held
  const count = Number((await again('get', () => kv.get('guarded/count')))?.text() ?? 0)
  console.log(`inside ${count} ${token}`)
  await sleep(INSIDE_MS)
  await again('put', () => kv.put(`guarded/section/${count}`, `${name} ${token}`))
  await again('put', () => kv.put('guarded/count', String(count + 1)))
  await again('leave', () => held.release())
}
for (const node of nodes) node.close()
await kv.close()
