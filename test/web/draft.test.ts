// A transaction whose user leaves before it is answered.

import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { KvTxn } from '../../src/operations/forms/transactions.ts'
import { answer, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  readonly text: { peek(): string }
  readonly sent: {
    peek():
      | { readonly text: string; readonly answer?: { readonly kind: string; readonly isUnknown?: boolean } }
      | undefined
  }
  send(txn: KvTxn): Promise<void>
  setText(text: string): void
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
}
const node = stubPage()
let page: Modules
beforeAll(async () => {
  const names = ['pages/transaction/draft.ts', 'cluster/credentials.ts']
  page = Object.assign({}, ...(await Promise.all(names.map((name) => load<object>(name)))))
})
afterEach(() => {
  page.forgetUserToken()
  vi.useRealTimers()
})

const key = new Uint8Array([0x6b])
const PUT: KvTxn = {
  compare: [],
  success: [{ kind: 'put', key, value: key, prev: false }],
  failure: [],
}
const READ: KvTxn = {
  compare: [],
  success: [
    { kind: 'get', where: { key }, limit: undefined, keysOnly: false, count: false, countOnly: false },
  ],
  failure: [],
}
const DONE = {
  put: {
    revision: 3,
    succeeded: true,
    results: [{ put: { create_revision: 3, mod_revision: 3, version: 1 } }],
  },
  read: { revision: 3, succeeded: true, results: [{ get: { kvs: [], more: false } }] },
}

/** Acts of a user while the transaction is on its way, and whether its answer is for the user who is there then. */
const MEANWHILE: Readonly<Record<string, { readonly act: () => void; readonly isTheirs: boolean }>> = {
  waits: { act: () => {}, isTheirs: true },
  'goes on typing': { act: () => page.setText('{}'), isTheirs: true },
  'logs in again': { act: () => page.keepUserToken('ann', 'next'), isTheirs: true },
  'logs out': { act: () => page.forgetUserToken(), isTheirs: false },
  'logs out, and somebody else logs in': {
    act: () => {
      page.forgetUserToken()
      page.keepUserToken('bob', 'token')
    },
    isTheirs: false,
  },
  'is replaced by somebody else at once': { act: () => page.keepUserToken('bob', 'token'), isTheirs: false },
}

test.each(Object.entries(MEANWHILE))('a user sends a transaction, and %s', async (_, { act, isTheirs }) => {
  for (const [txn, done] of [
    [PUT, DONE.put],
    [READ, DONE.read],
  ] as const) {
    page.keepUserToken('ann', 'token')
    page.setText('secret of ann')
    const answered = Promise.withResolvers<Response>()
    node.serve = () => answered.promise
    const sending = page.send(txn)
    await Promise.resolve()
    act()
    answered.resolve(answer(done))
    await sending
    if (isTheirs) expect(page.sent.peek()).toMatchObject({ text: 'secret of ann', answer: { kind: 'done' } })
    else {
      expect(page.sent.peek()).toBeUndefined()
      expect(page.text.peek()).toBe('')
    }
    page.forgetUserToken()
  }
})

test('the text stays in the tab until its user logs out, and then nothing of it does', async () => {
  vi.useFakeTimers()
  page.keepUserToken('ann', 'token')
  page.setText('secret of ann')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(sessionStorage.getItem('quorate.transaction')).toBe('secret of ann')
  page.forgetUserToken()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(sessionStorage.getItem('quorate.transaction')).toBeNull()
})

/** Users who send the same transaction after one of them got no answer, and whether it is the same change. */
test.each([
  ['the same user', () => {}, true],
  ['the same user, after another login', () => page.keepUserToken('ann', 'next'), true],
  ['the next user', () => page.keepUserToken('bob', 'token'), false],
  [
    'the same user, after a logout',
    () => {
      page.forgetUserToken()
      page.keepUserToken('ann', 'token')
    },
    false,
  ],
] as const)('after an unknown outcome %s sends the same transaction', async (_, act, isSame) => {
  vi.useFakeTimers()
  page.keepUserToken('ann', 'token')
  const names: (string | undefined)[] = []
  let isAway = true
  node.serve = ({ headers }) => {
    names.push(headers['Idempotency-Key'])
    if (isAway) throw new TypeError('the connection broke')
    return answer(DONE.put)
  }
  const send = async (): Promise<void> => {
    page.setText('{}')
    const sending = page.send(PUT)
    await vi.advanceTimersByTimeAsync(60_000)
    await sending
  }
  await send()
  expect(page.sent.peek()).toMatchObject({ answer: { kind: 'failed', isUnknown: true } })
  isAway = false
  act()
  await send()
  expect(page.sent.peek()).toMatchObject({ answer: { kind: 'done' } })
  expect(new Set(names).size).toBe(isSame ? 1 : 2)
})
