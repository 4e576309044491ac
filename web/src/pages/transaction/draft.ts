// The transaction of this tab: its text, and what became of it when it was last sent. It stays while other pages are
// shown, and ends with the login of its user. The text survives a reload of the page.

import { signal } from '@preact/signals'
import type { KvTxn } from '../../../../src/operations/forms/transactions.ts'
import { type TxnOutcome, txn as txnOperation } from '../../../../src/operations/txn.ts'
import { Changes, nameChange } from '../../cluster/change.ts'
import { isOutcomeUnknown, run } from '../../cluster/connection.ts'
import { userName } from '../../cluster/credentials.ts'

const STORED = 'quorate.transaction'

/** A transaction that was sent, and its answer. */
export interface Sent {
  readonly text: string
  readonly txn: KvTxn
  /** When it was answered, of `Date.now()`; undefined: not yet. */
  readonly time?: number
  readonly answer?: TxnAnswer
}

export type TxnAnswer =
  | { readonly kind: 'done'; readonly outcome: TxnOutcome; readonly isReplayed: boolean }
  | { readonly kind: 'failed'; readonly reason: string; readonly isUnknown: boolean }

export const text = signal(sessionStorage.getItem(STORED) ?? '')
export const sent = signal<Sent | undefined>(undefined)
let changes = new Changes()

let owner = userName.peek()
userName.subscribe((name) => {
  if (owner !== undefined && owner !== name) {
    setText('')
    sent.value = undefined
    changes = new Changes()
  }
  owner = name
})

export function setText(next: string): void {
  text.value = next
  clearTimeout(storing)
  storing = setTimeout(store, STORE_MS)
}

/** The pause in typing after which the text is stored: a long one would make each key slow. */
const STORE_MS = 500
let storing: ReturnType<typeof setTimeout> | undefined

function store(): void {
  if (storing === undefined) return
  clearTimeout(storing)
  storing = undefined
  const present = text.peek()
  if (present === '') {
    sessionStorage.removeItem(STORED)
    return
  }
  try {
    sessionStorage.setItem(STORED, present)
  } catch {
    // Beyond the limit of the browser it is not kept.
    sessionStorage.removeItem(STORED)
  }
}

addEventListener('pagehide', store)

/** Whether another try may be made freely, under the same token, or not without the risk of a second change. */
export const repeatOf = (txn: KvTxn) => txnOperation.repeat({ txn })

export async function send(txn: KvTxn): Promise<void> {
  const request = { text: text.peek(), txn }
  sent.value = request
  const answer = await answerTo(txn)
  // Somebody else may have logged in meanwhile.
  if (sent.peek() === request) sent.value = { ...request, time: Date.now(), answer }
}

async function answerTo(txn: KvTxn): Promise<TxnAnswer> {
  const repeat = repeatOf(txn)
  const request = { kind: 'txn', txn, freshness: {}, idempotency: undefined } as const
  try {
    const { result, head } =
      repeat === 'freely'
        ? await run({ ...txnOperation, effect: 'read' as const }, request)
        : await changes.make(txnOperation, {
            ...request,
            idempotency: repeat === 'by-id' ? nameChange() : undefined,
          })
    return { kind: 'done', outcome: result, isReplayed: head.replayed ?? false }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { kind: 'failed', reason, isUnknown: repeat !== 'freely' && isOutcomeUnknown(error) }
  }
}
