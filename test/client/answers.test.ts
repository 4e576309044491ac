// The answers of a node, field by field. A valid answer becomes values. Any other is refused, and the error names the
// problem.

import { beforeEach, describe, expect, test } from 'vitest'
import { type AnswerInfo, type Client, type KvRecord, QuorateError } from '../../src/client/index.ts'
import { memberJson, problem, type RelayedNode } from './relayed-node.ts'
import { clientOf, failure, fake } from './with-fakes.ts'

let node: RelayedNode
let kv: Client
beforeEach(async () => {
  node = await fake()
  kv = clientOf([node])
})

const answering = (body: unknown, status = 200, headers = {}) => {
  node.fault = () => ({ status, body, headers })
}

const says = (what: string) => ({
  name: 'QuorateError',
  code: 'unexpected_answer',
  written: 'no',
  endpoint: node.url,
  message: `${node.url} answered, but not like a quorate node: ${what}`,
})

test('a value that is not JSON is named by its key', async () => {
  await kv.put('k', '{')
  const record = await kv.get('k')
  expect(() => record?.json()).toThrow(SyntaxError)
  expect(() => record?.json()).toThrow('the value of "k" is not JSON: ')
})

describe('a record', () => {
  const record = { key: 'k', value: 'v', create_revision: 2, mod_revision: 3, version: 4 }

  test.each<[unknown, Partial<KvRecord>]>([
    [{}, { key: 'k', value: Buffer.from('v'), createRevision: 2, modRevision: 3, version: 4 }],
    [{ value: { base64: '/w==' } }, { value: Uint8Array.of(255) }],
    [{ value: { base64: '' } }, { value: new Uint8Array() }],
    [{ key: { base64: '/2E=' } }, { key: '\ufffda', keyBytes: Uint8Array.of(255, 97) }],
    [{ key: '\ufeffk' }, { key: '\ufeffk', keyBytes: Buffer.from('\ufeffk') }],
  ])('with %j', async (fields, becomes) => {
    answering({ ...record, ...(fields as object) })
    const found = await kv.get(becomes.keyBytes ?? 'k')
    for (const [name, value] of Object.entries(becomes)) {
      const is = found?.[name as keyof KvRecord]
      if (value instanceof Uint8Array) expect(Buffer.from(is as Uint8Array)).toEqual(Buffer.from(value))
      else expect(is).toBe(value)
    }
  })

  test('whose value begins with a byte order mark: that is a part of it', async () => {
    answering({ ...record, value: '\ufeff7' })
    const found = await kv.get('k')
    expect(found?.text()).toBe('\ufeff7')
    expect(found?.value.length).toBe(4)
  })

  test.each([
    [{ value: { base64: '_w==' } }, 'not base64'],
    [{ value: { base64: '/w' } }, 'not base64'],
    [{ value: { base64: 5 } }, 'bytes are neither a string nor {"base64": …}'],
    [{ value: {} }, 'bytes are neither a string nor {"base64": …}'],
    [{ value: 5 }, 'bytes are neither a string nor {"base64": …}'],
    [{ value: null }, 'bytes are neither a string nor {"base64": …}'],
    [{ value: ['v'] }, 'bytes are neither a string nor {"base64": …}'],
    [{ key: undefined }, 'bytes are neither a string nor {"base64": …}'],
    [{ create_revision: '2' }, '"create_revision" is not a whole number'],
    [{ mod_revision: 2.5 }, '"mod_revision" is not a whole number'],
    [{ version: -1 }, '"version" is not a whole number'],
  ])('with %j is not a record', async (fields, what) => {
    answering({ ...record, ...fields })
    expect(await failure(kv.get('k'))).toMatchObject(says(what))
    answering({ kvs: [{ ...record, ...fields }], more: false })
    expect(await failure(kv.list().next())).toMatchObject(says(what))
  })

  test.each(['[]', 'null', '"k"', '{', ''])('is not %s', async (body) => {
    answering(body)
    const reads = [() => kv.get('k'), () => kv.list().next(), () => kv.count()]
    for (const call of [...reads, () => kv.status(), () => kv.cluster(), () => kv.settings()])
      expect(await failure(call())).toMatchObject(says('the body is not a JSON object'))
    for (const call of [() => kv.put('k', 'v'), () => kv.delete('k'), () => kv.changeSettings({})]) {
      const what = { ...says('the body is not a JSON object'), written: 'unknown' }
      expect(await failure(call())).toMatchObject(what)
    }
    expect(await failure(kv.transferLeader())).toMatchObject({ written: 'unknown' })
  })

  test('in a page is an object', async () => {
    answering({ kvs: [5], more: false })
    expect(await failure(kv.list().next())).toMatchObject(says('a record is not an object'))
    answering({ kvs: {}, more: false })
    expect(await failure(kv.list().next())).toMatchObject(says('"kvs" is not a list'))
  })

  test('has a value, unless only keys were asked for', async () => {
    answering({ kvs: [{ ...record, value: undefined }], more: false })
    for (const keysOnly of [undefined, false])
      expect(await failure(kv.list({ keysOnly }).next())).toMatchObject({ code: 'unexpected_answer' })
    expect(await kv.list({ keysOnly: true }).next()).toMatchObject({ value: { key: 'k', version: 4 } })
    answering({ kvs: [record], more: false })
    expect(await kv.list({ keysOnly: false }).next()).toMatchObject({ value: { value: Uint8Array.of(118) } })
  })
})

describe('the result of a change', () => {
  test.each(['revision', 'create_revision', 'mod_revision', 'version'])('has its %s', async (name) => {
    answering({ revision: 4, create_revision: 2, mod_revision: 3, version: 1, [name]: 'x' })
    const what = { ...says(`"${name}" is not a whole number`), written: 'unknown' }
    expect(await failure(kv.put('k', 'v'))).toMatchObject(what)
  })

  test('of a change of the leader', async () => {
    answering({ leader: 'n2' })
    expect(await kv.transferLeader()).toBe('n2')
    for (const leader of [null, 5]) {
      answering({ leader })
      const refused = { ...says('"leader" is not a string'), written: 'unknown' }
      expect(await failure(kv.transferLeader())).toMatchObject(refused)
    }
  })
})

describe('the status of a node', () => {
  const status = {
    ...{ name: 'n1', version: '0.1.0', cluster_id: '77', replica_id: '12', role: 'leader', leader: 'n1' },
    ...{ term: 3, commit_index: 40, applied_index: 39, log_first_index: 2, revision: 9, cluster_version: 1 },
    ...{ state_hash: '00c0ffee00c0ffee', members: [], errors: [] },
    ...{ disk_free_bytes: 5, disk_total_bytes: null, last_backup_age_ms: 9 },
    certificates: [{ file: 'a.crt', expires_in_ms: -5 }],
  }

  test('as it is', async () => {
    const member = { name: 'n1', replica_id: '12', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
    answering({
      ...status,
      members: [
        { ...member, role: 'voter', match_index: 40 },
        { ...member, role: 'learner' },
      ],
      errors: [{ code: 'disk' }, 'slow', 5],
    })
    const known = { name: 'n1', replicaId: '12', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
    expect(await kv.status()).toEqual({
      ...{ name: 'n1', version: '0.1.0', clusterId: '77', replicaId: '12', role: 'leader', leader: 'n1' },
      ...{ term: 3, commitIndex: 40, appliedIndex: 39, logFirstIndex: 2, revision: 9, clusterVersion: 1 },
      stateHash: '00c0ffee00c0ffee',
      members: [
        { ...known, role: 'voter', matchIndex: 40 },
        { ...known, role: 'learner', matchIndex: undefined },
      ],
      ...{ diskFreeBytes: 5, diskTotalBytes: undefined, lastBackupAgeMs: 9 },
      certificates: [{ file: 'a.crt', expiresInMs: -5 }],
      errors: ['{"code":"disk"}', 'slow', '5'],
    })
    answering({ ...status, leader: null })
    expect((await kv.status()).leader).toBeUndefined()
  })

  test.each([
    ...['name', 'version', 'cluster_id', 'replica_id', 'role', 'state_hash'].map((name) => [
      name,
      'a string',
    ]),
    ...['term', 'commit_index', 'applied_index', 'log_first_index', 'revision', 'cluster_version'].map(
      (name) => [name, 'a whole number'],
    ),
    ...['members', 'errors', 'certificates'].map((name) => [name, 'a list']),
  ])('has its %s, which is %s', async (name, type) => {
    for (const value of [undefined, null, {}]) {
      answering({ ...status, [name ?? '']: value })
      expect(await failure(kv.status())).toMatchObject(says(`"${name}" is not ${type}`))
    }
  })

  test.each([
    [5, 'a member is not an object'],
    [{ ...(memberJson('n1', 'http://127.0.0.1:2') as object), role: 'boss' }, 'unknown role boss'],
    [{ ...(memberJson('n1', 'http://127.0.0.1:2') as object), peer: 1 }, '"peer" is not a string'],
    [
      { ...(memberJson('n1', 'http://127.0.0.1:2') as object), match_index: '40' },
      '"match_index" is not a whole number',
    ],
  ])('has members, none of which is %j', async (member, what) => {
    answering({ ...status, members: [member] })
    expect(await failure(kv.status())).toMatchObject(says(what))
  })
})

describe('what an answer says of itself', () => {
  const none = { node: undefined, revision: undefined, consistency: undefined, stalenessMs: undefined }

  test.each<[Record<string, string | string[]>, Partial<AnswerInfo>]>([
    [{}, {}],
    [{ 'kv-node': 'n7' }, { node: 'n7' }],
    [{ 'kv-node': '' }, {}],
    [{ 'kv-consistency': 'linearizable' }, { consistency: 'linearizable' }],
    [{ 'kv-consistency': 'lease' }, { consistency: 'lease' }],
    [{ 'kv-consistency': 'stale' }, { consistency: 'stale' }],
    [{ 'kv-consistency': 'eventual' }, {}],
    [{ 'kv-staleness-ms': '12.25' }, { stalenessMs: 12.25 }],
    [{ 'kv-staleness-ms': '7' }, { stalenessMs: 7 }],
    [{ 'kv-staleness-ms': '7.' }, {}],
    [{ 'kv-staleness-ms': '-7' }, {}],
    [{ 'kv-staleness-ms': '7 ms' }, {}],
    [{ 'kv-staleness-ms': '1e3' }, {}],
    [{ 'kv-staleness-ms': 'unknown' }, {}],
    [{ 'kv-revision': '7' }, { revision: 7 }],
    [{ 'kv-revision': '7.5' }, {}],
  ])('%j', async (headers, info) => {
    const infos: AnswerInfo[] = []
    const onAnswer = (each: AnswerInfo) => void infos.push(each)
    node.fault = () => ({
      status: 404,
      body: problem(404, 'not_found', 'there is no such key').body,
      headers: { 'kv-node': '', 'kv-revision': '', ...headers } as Record<string, string>,
    })
    await kv.get('k', { onAnswer })
    expect(infos).toEqual([{ ...none, ...info }])
  })

  test('is reported for an answer that was served, and not for a refusal', async () => {
    const statuses: string[] = []
    const onAnswer = ({ node: name }: AnswerInfo) => void statuses.push(String(name))
    node.set('k', 'v')
    node.faults.push(problem(503, 'no_leader', 'an election is under way', { retry_after_ms: 1 }))
    await kv.get('k', { onAnswer })
    node.faults.push(problem(400, 'bad_request', 'what is that?'))
    await failure(kv.get('k', { onAnswer }))
    expect(statuses).toEqual(['n1'])
    for await (const _ of kv.list({ snapshot: true, onAnswer }));
    for await (const _ of kv.list({ onAnswer }));
    await kv.count({ onAnswer })
    expect(statuses).toEqual(['n1', 'n1', 'n1', 'n1'])
  })
})

describe('a refusal', () => {
  test.each([
    'no_leader',
    'no_quorum',
    'not_ready',
    'overloaded',
    'too_stale',
    'revision_behind',
    'outcome_unknown',
  ])('with %s passes: it is asked again', async (code) => {
    const refusal = problem(503, code, 'not now', { retry_after_ms: 1 })
    node.faults.push(refusal)
    await kv.get('k')
    node.faults.push(refusal)
    expect(await kv.put('k', 'v')).toMatchObject({ version: 1 })
    expect(node.seen.length).toBe(4)
  })

  test.each<[number, Record<string, unknown>, object]>([
    [400, { code: 'bad_request', detail: 'what?' }, { code: 'bad_request', message: 'what?', written: 'no' }],
    [400, { code: 'bad_request', detail: 5 }, { code: 'bad_request', message: 'bad_request', written: 'no' }],
    [499, { code: 'of the future' }, { code: 'of the future', message: 'of the future', written: 'no' }],
    [507, { code: 'storage_full' }, { code: 'storage_full', written: 'no' }],
    [501, { code: 'of the future' }, { code: 'of the future', written: 'unknown' }],
    [400, { code: 'bad_request', retry_after_ms: 7 }, { retryAfterMs: 7 }],
    [400, { code: 'bad_request', retry_after_ms: '7' }, { retryAfterMs: undefined }],
  ])('for good: %d %j', async (status, body, becomes) => {
    answering(body, status)
    for (const call of [() => kv.put('k', 'v'), () => kv.changeSettings({})]) {
      const { length } = node.seen
      const error = await failure(call())
      expect(error).toMatchObject({
        name: 'QuorateError',
        status,
        node: 'n1',
        endpoint: node.url,
        ...becomes,
      })
      expect(node.seen.length).toBe(length + 1)
    }
    expect(await failure(kv.get('k'))).toMatchObject({ ...becomes, written: 'no' })
  })

  test.each([500, 501, 404, 403])('of a program that is not a node, %d, is final', async (status) => {
    for (const [body, headers, type] of [
      ['<html>', {}, 'text/html'],
      ['<html>', { 'content-type': '' }, 'no content type'],
      [{ detail: 'no code' }, {}, 'application/problem+json'],
      [{ code: 7 }, {}, 'application/problem+json'],
      [null, {}, 'application/problem+json'],
    ] as const) {
      answering(body, status, headers)
      const { length } = node.seen
      const error = await failure(kv.get('k'))
      expect(error).toBeInstanceOf(QuorateError)
      const message = `not an answer of a quorate node (status ${status}, ${type})`
      expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no', status, message })
      expect(node.seen.length).toBe(length + 1)
    }
  })
})
