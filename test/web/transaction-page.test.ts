// The page of transactions: it says what became of one, and keeps the text of its user.

import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { type KvTxn, type KvTxnOperation, onlyReads } from '../../src/operations/forms/transactions.ts'
import { runs } from '../runs.ts'
import { FakeKeys } from './fake-keys.ts'
import { stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

interface Modules {
  readonly route: { value: object }
  parseRoute(fragment: string): object
  readonly text: { peek(): string }
  readonly sent: { peek(): object | undefined }
  send(txn: KvTxn): Promise<void>
  setText(text: string): void
  readonly TxnResultView: unknown
  readonly Page: unknown
  readonly TEMPLATES: readonly { readonly text: string }[]
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
}
const node = stubPage()
let page: Modules
let screen: Screen | undefined
beforeAll(async () => {
  const names = ['draft.ts', 'txn-result.tsx', 'transaction.tsx', 'templates.ts'].map(
    (name) => `pages/transaction/${name}`,
  )
  const all = [...names, 'route.ts', 'cluster/credentials.ts']
  page = Object.assign({}, ...(await Promise.all(all.map((name) => load<object>(name)))))
})
beforeEach(() => {
  vi.useFakeTimers()
  page.keepUserToken('ann', 'token')
})
afterEach(async () => {
  await screen?.leave()
  screen = undefined
  page.forgetUserToken()
  vi.useRealTimers()
})

const key = fc.constantFrom('a', 'b').map(encodeUtf8)
const operation = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  operation: fc.oneof(
    { maxDepth: 2 },
    fc.record({ kind: fc.constant('put' as const), key, value: key, prev: fc.constant(false) }),
    fc.record({
      ...{ kind: fc.constant('get' as const), where: fc.record({ key }), limit: fc.constant(undefined) },
      ...{ keysOnly: fc.constant(false), count: fc.constant(false), countOnly: fc.constant(false) },
    }),
    fc.record({ kind: fc.constant('delete' as const), where: fc.record({ key }), prev: fc.constant(false) }),
    fc.record({ kind: fc.constant('txn' as const), txn: tie('txn') }),
  ),
  txn: fc.record({
    compare: fc.array(
      fc.record({
        ...{
          where: fc.record({ key }),
          op: fc.constant('=' as const),
          target: fc.constant('version' as const),
        },
        to: fc.constantFrom(0, 1),
      }),
      { maxLength: 1 },
    ),
    success: fc.array(tie('operation'), { maxLength: 2 }),
    failure: fc.array(tie('operation'), { maxLength: 2 }),
  }),
}))

test('what a transaction has changed, at whatever depth, is what the page says', async () => {
  await fc.assert(
    fc.asyncProperty(operation.txn, fc.boolean(), async (txn, hasKey) => {
      const store = new FakeKeys()
      if (hasKey) store.put('a', 'v')
      const before = store.revision
      node.serve = (request) => store.serve(request)
      const sending = page.send(txn)
      await vi.advanceTimersByTimeAsync(20_000)
      await sending
      const shown = await show(page.TxnResultView, { sent: page.sent.peek(), isOld: false })
      const isChanged = store.revision > before
      const says = isChanged
        ? /Written at revision/
        : onlyReads(txn)
          ? /Read at revision/
          : /Nothing was changed/
      expect(shown.text()).toMatch(says)
      await shown.leave()
    }),
    { numRuns: runs(30) },
  )
})

const MINE = '{"success":[{"put":{"key":"mine","value":"1"}}]}'
const link = (text: string): void => {
  page.route.value = page.parseRoute(`#/transaction?${new URLSearchParams({ text })}`)
}
/** Ways in which another text comes in place of that of the user. */
const WAYS: Readonly<Record<string, (shown: Screen) => Promise<void>>> = {
  'the user clears it': (shown) => shown.click('Clear'),
  'the user lays it out': (shown) => shown.click('Format'),
  'a link has another one': async () => {
    link('{"success":[]}')
    await vi.advanceTimersByTimeAsync(1_000)
  },
  'a link has an example': async () => {
    link(page.TEMPLATES[1]?.text ?? '')
    await vi.advanceTimersByTimeAsync(1_000)
  },
}

test.each(Object.entries(WAYS))('%s: the text of the user is not lost', async (_, act) => {
  page.route.value = page.parseRoute('#/transaction')
  page.setText(MINE)
  const shown = await show(page.Page, {})
  screen = shown
  await vi.advanceTimersByTimeAsync(1_000)
  for (let time = 1; time <= 2; time++) {
    await act(shown)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(page.text.peek()).not.toBe(MINE)
    await shown.click('Back to my text')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(page.text.peek()).toBe(MINE)
  }
})
