// What a node says of itself over its HTTP API, for those who run beside it: one short question, no retries.

import { Agent, get } from 'node:http'

/** A connection for each question, and never through a proxy, whatever the environment names. */
const agent = new Agent({ keepAlive: false })

/** The JSON object of a 200 answer; undefined when there is none within `limitMs`. `url` is that of the node, without a trailing slash. */
export function askNode(
  url: string,
  path: string,
  limitMs: number,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  return new Promise((resolve) => {
    // A member may be known under no address, or under one that is not for us.
    if (URL.parse(url)?.protocol !== 'http:') return resolve(undefined)
    const outgoing = get(`${url}${path}`, { agent }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', () => resolve(undefined))
      incoming.on('end', () => {
        resolve(incoming.statusCode === 200 ? objectIn(Buffer.concat(chunks).toString()) : undefined)
      })
    })
    const timer = setTimeout(() => outgoing.destroy(), limitMs)
    outgoing.on('error', () => resolve(undefined))
    outgoing.on('close', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
