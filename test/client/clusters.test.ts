// Endpoints that belong to different clusters. The first answer decides which cluster the client uses; endpoints of
// others are left out.

import { expect, test } from 'vitest'
import { UnreachableError } from '../../src/client/index.ts'
import { problem, type RelayedNode } from './relayed-node.ts'
import { clientOf, failure, fake, fakePeer, refusing } from './with-fakes.ts'

async function foreign(name = 'n9'): Promise<RelayedNode> {
  const node = await fake(name)
  node.clusterId = '78'
  node.revision = 1_000
  return node
}

test('one of three is left out for every request, with one warning', async () => {
  const own = await fake('n1')
  const [second, other] = [await fakePeer(own, 'n2'), await fake('n9')]
  const warnings: string[] = []
  const kv = clientOf([own, other, second], { onWarning: (message) => warnings.push(message) })
  await kv.get('k')
  other.clusterId = '78'
  other.revision = 1_000
  for (let n = 0; n < 9; n++) {
    await kv.put(`k${n}`, 'v')
    await kv.get(`k${n}`)
    await kv.delete(`k${n}`)
    await kv.count()
    await kv.transferLeader('n1')
  }
  expect(other.contents).toEqual({})
  expect(kv.revision).toBeLessThan(1_000)
  expect(warnings).toEqual([expect.stringContaining(`${other.url} belongs to another cluster (78)`)])
})

test('reads that begin together accept the first answer only', async () => {
  const [own, other] = [await fake(), await foreign()]
  own.set('k', 'own')
  other.set('k', 'other')
  const kv = clientOf([own, other], { onWarning: () => {} })
  const records = await Promise.all(Array.from({ length: 8 }, () => kv.get('k')))
  const values = new Set(records.map((record) => record?.text()))
  expect(values.size).toBe(1)
  const first = [...values][0]
  for (let n = 0; n < 4; n++) expect((await kv.get('k'))?.text()).toBe(first)
})

test('it is an error only when no other is left: nothing was written', async () => {
  const [own, other] = [await fake(), await foreign()]
  const kv = clientOf([own, other], { timeoutMs: 3_600_000, onWarning: () => {} })
  other.fault = () => 'cut'
  await kv.put('k', 'v')
  other.fault = () => undefined
  own.clusterId = '78'
  for (const call of [() => kv.put('k', 'w'), () => kv.get('k'), () => kv.transferLeader()]) {
    expect(await failure(call())).toMatchObject({ code: 'wrong_cluster', written: 'no' })
  }
  expect(own.contents).toEqual({ k: 'v' })
  // It is in the right cluster again, and the client no longer leaves it out.
  own.clusterId = '77'
  await kv.put('k', 'x')
  expect(own.contents).toEqual({ k: 'x' })
})

test('when the right nodes are down, the error says both', async () => {
  const [own, other] = [await fake(), await foreign()]
  const kv = clientOf([own, await refusing(), other], {
    timeoutMs: 60_000,
    unreachableAfterMs: 50,
    onWarning: () => {},
  })
  const { url } = own
  other.fault = () => 'cut'
  await kv.put('k', 'v')
  other.fault = () => undefined
  await own.close()
  // Kept connections are closed after this.
  await failure(kv.get('k'))
  const error = await failure(kv.put('k', 'w'))
  expect(error).toBeInstanceOf(UnreachableError)
  expect(error.message).toContain(url)
  expect(error.message).toContain('another cluster (78)')
})

test('a node that the caller named for one call does not determine the cluster', async () => {
  const [own, other] = [await fake(), await foreign()]
  const kv = clientOf([own])
  expect(await kv.status({ endpoint: other.url })).toMatchObject({ clusterId: '78' })
  await kv.put('k', 'v')
  expect(own.contents).toEqual({ k: 'v' })
  expect(kv.revision).toBe(2)
  expect(await failure(kv.status({ endpoint: other.url }))).toMatchObject({ code: 'wrong_cluster' })
})

test('a node that does not serve the requested host name is left out; without another node its answer counts', async () => {
  const [right, wrong] = [await fake(), await fake('n2')]
  wrong.fault = () => problem(421, 'host_not_allowed', 'see --allowed-host')
  const kv = clientOf([right, wrong])
  for (let n = 0; n < 4; n++) {
    await kv.put('k', `${n}`)
    expect((await kv.get('k'))?.text()).toBe(`${n}`)
    expect(await kv.count()).toBe(1)
  }
  expect(wrong.asked.length).toBeGreaterThan(0)
  await right.close()
  const alone = clientOf([wrong])
  for (const call of [() => alone.put('k', 'w'), () => alone.get('k'), () => alone.removeMember('n1')]) {
    expect(await failure(call())).toMatchObject({ code: 'host_not_allowed', written: 'no' })
  }
})
