// Requests to the console of a local cluster, as a page or another program sends them.

import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { succeeded } from '../../src/local/cluster/control-protocol.ts'
import { type Console, type ConsoleOptions, openConsole } from '../../src/local/console/console-server.ts'
import type { ConsoleAddress } from '../../src/local/directory/cluster-file.ts'
import { freePorts } from './kv.ts'

/** A console of a cluster with these nodes, whose actions all succeed. */
export async function openFor(...nodes: readonly object[]): Promise<Console> {
  const cluster = { nodes, clusterId: '7', mesh: undefined, watch: () => () => {} }
  const console = await openConsole({
    cluster: cluster as unknown as ConsoleOptions['cluster'],
    execute: async () => succeeded(''),
    port: await freePorts(1),
  })
  onTestFinished(() => console.close())
  return console
}

export interface ConsoleReply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

export interface ConsoleCall {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** Sends a request and returns the head of its answer. */
export function begin(
  { url }: ConsoleAddress,
  path: string,
  call: ConsoleCall = {},
): Promise<IncomingMessage> {
  const { hostname, port } = new URL(url)
  const options: RequestOptions = {
    hostname,
    port,
    path,
    method: call.method ?? (call.body === undefined ? 'GET' : 'POST'),
    headers: call.headers,
    agent: false,
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(options, resolve).on('error', reject)
    onTestFinished(() => void outgoing.destroy())
    outgoing.end(call.body)
  })
}

export async function call(
  console: ConsoleAddress,
  path: string,
  options?: ConsoleCall,
): Promise<ConsoleReply> {
  const answer = await begin(console, path, options)
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: await text(answer) }
}

/** The headers of the page, which has the token. */
export const known = ({ token }: ConsoleAddress): Record<string, string> => ({ 'Quorate-Control': token })

/** `POST /control/ACTION`, as the page sends it. */
export const control = (console: ConsoleAddress, action: string, body: object): Promise<ConsoleReply> =>
  call(console, `/control/${action}`, {
    headers: { ...known(console), 'Content-Type': 'application/json', Origin: console.url },
    body: JSON.stringify(body),
  })
