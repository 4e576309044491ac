// Removes the messages of a topic (topic.ts) that are older than the last `messagesMax`.
//
// Invariant: a message is removed in one transaction with the new `trimmed` mark, which compares the old mark. So a
// subscription that misses a message finds the mark, and of concurrent trims one succeeds.

import type { AnswerInfo, Client, KvRecord } from '../client/index.ts'
import type { KeySpace } from './key-space.ts'

/** Counting a million messages takes seconds. */
const TIMEOUT_MS = 300_000
const PAGE = 64

/** The order of keys is nearly that of revisions: a key begins with a revision before that of its message. */
export async function trimTopic(
  kv: Pick<Client, 'count' | 'get' | 'list' | 'txn'>,
  space: KeySpace,
  messagesMax: number,
): Promise<void> {
  const call = { timeoutMs: TIMEOUT_MS }
  const prefix = space.key('message', '')
  let revision: number | undefined
  const onAnswer = (answer: AnswerInfo) => {
    revision = answer.revision
  }
  const count = await kv.count({ prefix, ...call, onAnswer })
  if (count <= messagesMax) return
  const key = space.key('trimmed')
  const mark = await kv.get(key, call)
  let modRevision = mark?.modRevision ?? 0
  let trimmed = Number(mark?.text()) || 0
  let start = prefix
  const end = space.key('message0')
  /** Messages of pages before that may be newer than later ones. Many have one revision in their keys after a burst. */
  let carried: readonly KvRecord[] = []
  for (let excess = count - messagesMax; excess > 0; excess -= PAGE) {
    const page: KvRecord[] = []
    // At the revision of the count: a message that expires in between is in the excess already.
    const range = { start, end, keysOnly: true, limit: Math.min(excess, PAGE) + 1, revision }
    for await (const record of kv.list({ ...range, ...call })) page.push(record)
    const kept = page.pop()
    if (kept === undefined) return
    start = kept.keyBytes
    // A message of a slow publisher may be newer than its key says. It stays until the keys before it are newer still.
    const bound = Number(space.suffix(kept.keyBytes).slice('message/'.length).split('-')[0])
    const known = [...carried, ...page].toSorted((a, b) => a.modRevision - b.modRevision)
    const old = known.filter((each) => each.modRevision <= bound)
    carried = known.slice(old.length)
    for (let at = 0; at < old.length; at += PAGE) {
      const part = old.slice(at, at + PAGE)
      trimmed = Math.max(trimmed, ...part.map((each) => each.modRevision))
      const { succeeded, results } = await kv.txn(
        {
          compare: [{ key, target: 'modRevision', op: '=', to: modRevision }],
          success: [
            { put: { key, value: String(trimmed) } },
            ...part.map(({ keyBytes }) => ({ delete: { key: keyBytes } })),
          ],
        },
        call,
      )
      // Otherwise another process trims the topic.
      if (!succeeded) return
      modRevision = results[0]?.put?.modRevision ?? 0
    }
  }
}
