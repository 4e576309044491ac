// What a node says of itself over its HTTP API: one short question, no retries. For callers on the same machine.

import { askHttp } from '../server/ask-http.ts'
import { isObject } from './is-object.ts'

/**
 * The JSON object of a 200 answer; undefined when there is none within `limitMs`. `url` is that of the node, without a
 * trailing slash.
 */
export async function askNode(
  url: string,
  path: string,
  limitMs: number,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const { status, text } = await askHttp(`${url}${path}`, { timeoutMs: limitMs })
    const value: unknown = JSON.parse(text)
    return status === 200 && isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
