// Write ids. The cluster applies a write at most once under its id, however often it is sent. An id is a token, or a
// slot of a session, which costs the cluster a third (docs/reference/http.md). write-ids.ts hands them out.
//
// A token says since which revision it is in use, so the cluster refuses a late copy whose outcome it has forgotten.
// The first write of a client knows no revision, so its token goes without one. It is sent again only for a short time
// (UNDATED_RETRY_MS in retry-policy.ts).

/** `since`: the revision since which the token is in use; undefined: the client knew none. */
type IdempotencyToken = readonly [token: string, since: number | undefined]
type SessionSlot = readonly [session: number, slot: number, seq: number]
export type WriteId = IdempotencyToken | SessionSlot

export const isSlot = (writeId: WriteId): writeId is SessionSlot => writeId.length === 3

/** Whether the cluster can tell a late copy of the write from a new write. */
export const isDated = (writeId: WriteId): boolean => writeId[1] !== undefined

/** Header that carries a write id over HTTP. */
export const writeIdHeader = (writeId: WriteId): Readonly<Record<string, string>> =>
  isSlot(writeId)
    ? { 'Kv-Session': `${writeId[0]};slot=${writeId[1]};seq=${writeId[2]}` }
    : { 'Idempotency-Key': writeId[1] === undefined ? writeId[0] : `${writeId[0]};since=${writeId[1]}` }
