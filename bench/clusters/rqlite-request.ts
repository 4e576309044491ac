import { sendOnce } from '../load/http-connection.ts'

export interface StatementResult {
  readonly error?: string
  /** Rows. */
  readonly values?: readonly unknown[]
}

/**
 * One statement and its parameters, to a node of rqlite, on a connection of its own. Rejects when the statement fails,
 * which the node answers with status 200.
 */
export async function rqliteRequest(
  url: string,
  path: string,
  statement: readonly string[],
): Promise<StatementResult> {
  const body = Buffer.from(JSON.stringify([statement]))
  const answer = await sendOnce(url, { method: 'POST', path, json: true, body })
  const { results }: { results: readonly StatementResult[] } = JSON.parse(answer)
  const [result] = results
  if (result === undefined || result.error !== undefined)
    throw new Error(`${url}${path}: ${result?.error ?? 'no result'}`)
  return result
}
