import { expect, test } from 'vitest'
import type { Api, Reply } from './kubernetes/api.ts'
import { Ledger } from './kubernetes/ledger.ts'

const PATH = '/api/v1/namespaces/load/configmaps/a'
const saved = (version: number): Reply => ({
  status: 200,
  body: { kind: 'ConfigMap', metadata: { name: 'a', resourceVersion: String(version) } },
})
const failed = (status: number): Reply => ({ status, body: { kind: 'Status', metadata: { name: '' } } })

/** API servers that give these replies by turns; undefined: the connection is lost. */
function ledgerOf(...replies: readonly (Reply | undefined)[]) {
  const asked: string[] = []
  let count = 0
  const apis = ['a', 'b'].map((name) => ({
    async request(method: string) {
      asked.push(`${name} ${method}`)
      const reply = replies[count++]
      if (reply === undefined) throw new Error('no answer')
      return reply
    },
  }))
  return { ledger: new Ledger(apis as unknown as readonly Api[]), asked }
}

const revisions = (ledger: Ledger) => [...(ledger.objects.get(PATH)?.revisions ?? [])]

test('each acknowledged write has its resource version', async () => {
  const { ledger, asked } = ledgerOf(saved(11), saved(12))
  for (const method of ['POST', 'PUT']) await ledger.write(method, PATH, {})
  expect(revisions(ledger)).toEqual([11, 12])
  expect(ledger).toMatchObject({ acknowledged: 2, unknown: 0 })
  expect(asked).toEqual(['a POST', 'b PUT'])
})

test('a write without an answer, or with a failure of the server, is made again and may be there twice', async () => {
  const { ledger } = ledgerOf(undefined, failed(500), failed(503), saved(11))
  expect(await ledger.write('PUT', PATH, {})).toEqual(saved(11))
  expect(ledger.objects.get(PATH)).toMatchObject({ deletes: 0, unknown: 3 })
  expect(ledger).toMatchObject({ acknowledged: 1, unknown: 3 })
})

test('a write that the server has no room for is made again, and was not made before', async () => {
  const { ledger } = ledgerOf(failed(429), failed(429), saved(11))
  await ledger.write('PUT', PATH, {})
  expect(ledger.objects.get(PATH)).toMatchObject({ unknown: 0 })
  expect(ledger).toMatchObject({ acknowledged: 1, unknown: 0 })
})

test('a write that is refused is none', async () => {
  const { ledger } = ledgerOf(failed(409), failed(404))
  expect((await ledger.write('PUT', PATH, {})).status).toBe(409)
  expect((await ledger.write('DELETE', PATH)).status).toBe(404)
  expect(ledger.objects.get(PATH)).toMatchObject({ deletes: 0, unknown: 0 })
  expect(revisions(ledger)).toEqual([])
  expect(ledger.acknowledged).toBe(0)
})

test('a deletion has no resource version of its own, and a reply without an object has none', async () => {
  const { ledger } = ledgerOf(saved(11), { ...failed(201) })
  await ledger.write('DELETE', PATH)
  await ledger.write('POST', PATH)
  expect(ledger.objects.get(PATH)).toMatchObject({ deletes: 1, unknown: 0 })
  expect(revisions(ledger)).toEqual([])
})

test('a write of a part belongs to the object', async () => {
  const { ledger } = ledgerOf(saved(11))
  await ledger.write('PATCH', `${PATH}/status`, {}, PATH)
  expect(revisions(ledger)).toEqual([11])
})

test('a read is repeated until there is an answer', async () => {
  const { ledger } = ledgerOf(undefined, failed(500), failed(429), failed(404))
  expect((await ledger.read(PATH)).status).toBe(404)
  expect(ledger.unknown).toBe(0)
})
