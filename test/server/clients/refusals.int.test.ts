// The order in which a node refuses clients, on each wire: what it answers to one with several faults.
// golden/refusals.txt has it as text. Addresses and certificates are made up: a test has one machine.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Audit } from '../../../src/server/api/audit.ts'
import { REFUSAL_LINES_BURST } from '../../../src/server/api/refusal-sample.ts'
import { newAuthKeys } from '../../../src/server/auth/auth-keys.ts'
import { MetricsListener } from '../../../src/server/listener/metrics-listener.ts'
import { setIdentity } from '../../../src/server/tls/identity.ts'
import { AS_BOB, nodeWithUsers } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { type Served, type Started, start } from '../http/served.ts'
import { type Answer, GOOD, type Opening, VALUE, WIRES, type Wire } from './openings.ts'
import { type Fault, type MeasuredAnswer, refusalTable } from './refusal-table.ts'

/** Addresses of loopback from which clients connect, and what the node takes them for. */
const FAR = '127.0.0.2'
const UNKNOWN_USER = '127.0.0.3'
const NO_USER = '127.0.0.4'
const USER = '127.0.0.5'

function accepted(message: unknown): void {
  const { socket } = message as { readonly socket: Socket }
  const { remoteAddress } = socket
  if (remoteAddress === FAR) Object.defineProperty(socket, 'remoteAddress', { value: '10.9.8.7' })
  if (remoteAddress === UNKNOWN_USER) setIdentity(socket, { user: 'carl', node: undefined })
  if (remoteAddress === NO_USER) setIdentity(socket, { user: undefined, nobody: 'no CN', node: undefined })
  if (remoteAddress === USER) setIdentity(socket, { user: 'bob', node: undefined })
}
beforeAll(() => subscribe('net.server.socket', accepted))
afterAll(() => void unsubscribe('net.server.socket', accepted))

interface NodeFault extends Fault {
  /** Makes the node so. Returns what makes it as before. */
  readonly burden?: (served: Served) => () => void
  /** The node begins to stop when it has a part of the request. */
  readonly isClosing?: true
  /** Rights are switched on or off when the node has decided on the head. */
  readonly isSwitched?: true
}

function switchRights(node: FakeNode): void {
  const change = node.auth.enabled
    ? ({ kind: 'disable' } as const)
    : ({ kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const)
  node.apply({ kind: 'auth', ifRevision: undefined, change })
}

/** More than any budget. */
const MUCH = 2 ** 40

const FAULTS: readonly NodeFault[] = [
  { name: 'two hosts', change: { isHostTwice: true } },
  { name: 'no host', change: { host: undefined, isHostTwice: false } },
  { name: 'foreign host', change: { host: 'evil.example' } },
  { name: 'foreign origin', change: { origin: 'http://evil.example' } },
  { name: 'foreign site', change: { site: 'cross-site' } },
  { name: 'other cluster', change: { cluster: '9999' } },
  { name: 'other machine', change: { from: FAR } },
  { name: 'wrong timeout', change: { timeout: 'x' } },
  { name: 'nobody', change: { authorization: undefined } },
  { name: 'false token', change: { authorization: 'Bearer q1.x.y' } },
  { name: 'unknown user', change: { authorization: undefined, from: UNKNOWN_USER } },
  { name: 'nameless certificate', change: { authorization: undefined, from: NO_USER } },
  { name: 'no right', change: { key: 'other' } },
  {
    name: 'requests full',
    burden({ api }) {
      const { inbound, inboundOfUnauthenticated } = api
      const budgets = new Set([inbound, inboundOfUnauthenticated])
      for (const budget of budgets) budget.bytes += MUCH
      return () => {
        for (const budget of budgets) budget.bytes -= MUCH
      }
    },
  },
  {
    name: 'answers full',
    burden({ api: { outbound } }) {
      outbound.add(MUCH)
      return () => outbound.remove(MUCH)
    },
  },
  { name: 'node stops', isClosing: true },
  { name: 'rights are switched', isSwitched: true },
  { name: 'far and switched', change: { from: FAR }, isSwitched: true },
]

type Rights = 'off' | 'on'

class Bench {
  readonly #rights: Rights
  readonly #lines: string[] = []
  /** Lines that the node has written. */
  #written = 0
  #started: Started | undefined
  #metrics: MetricsListener | undefined

  constructor(rights: Rights) {
    this.#rights = rights
    onTestFinished(async () => {
      this.#metrics?.close()
      await this.#started?.close()
    })
  }

  get #good(): Opening {
    return this.#rights === 'on' ? { ...GOOD, authorization: AS_BOB.Authorization } : GOOD
  }

  async #open(): Promise<Started> {
    if (this.#started !== undefined) return this.#started
    const node = nodeWithUsers()
    if (this.#rights === 'off') switchRights(node)
    for (const key of ['app/1', 'other']) node.put(key, VALUE)
    this.#written = 0
    const audit = new Audit((line) => {
      this.#lines.push(line)
      this.#written++
    }, 'changes')
    this.#started = await start({ node, served: 'own-machine', audit })
    return this.#started
  }

  /** A node writes each of the first lines, and later ones only from time to time. */
  async #renew(): Promise<void> {
    if (this.#written <= REFUSAL_LINES_BURST / 2) return
    await this.#started?.close()
    this.#started = undefined
  }

  /** The answer to a client with these faults. */
  async ask(wire: Wire, ...faults: readonly NodeFault[]): Promise<Answer> {
    const served = await this.#open()
    const opening: Opening = Object.assign({}, this.#good, ...faults.map(({ change }) => change))
    const ends = faults.map(({ burden }) => burden?.(served))
    let closed: Promise<void> | undefined
    const begun = (): void => {
      if (faults.some(({ isClosing }) => isClosing)) closed = served.http.close({ graceful: true })
    }
    let isSwitched = false
    const decided = (): void => {
      isSwitched = faults.some((fault) => fault.isSwitched)
      if (isSwitched) switchRights(served.node)
    }
    const port = wire.isOfMetrics ? await this.#metricsPort(served) : served.port
    const answer = await wire.open(port, opening, { begun, decided })
    for (const end of ends) end?.()
    await closed
    if (isSwitched && closed === undefined) await served.close()
    if (isSwitched || closed !== undefined) this.#started = undefined
    return answer
  }

  async #metricsPort({ node, metrics }: Served): Promise<number> {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const status = () => node.status()
    this.#metrics ??= new MetricsListener({ status, isClosing: () => false, metrics, logger })
    if (this.#metrics.url === '') await this.#metrics.listen({ host: '127.0.0.1', port: 0 })
    return Number(new URL(this.#metrics.url).port)
  }

  /** The same with the lines of the audit log, and the counters that have changed. */
  async measure(wire: Wire, ...faults: readonly NodeFault[]): Promise<MeasuredAnswer> {
    await this.#renew()
    const served = await this.#open()
    const before = await counts(served)
    this.#lines.length = 0
    const answer = await this.ask(wire, ...faults)
    const grown = [...(await counts(served))].filter(([name, count]) => count !== (before.get(name) ?? 0))
    return {
      ...answer,
      audit: this.#lines.map(lineOf).join(' + '),
      count: grown.map(([name, count]) => `${name} ${count - (before.get(name) ?? 0)}`).join(', '),
    }
  }
}

function lineOf(line: string): string {
  const { time: _, address, revision: __, ...rest } = JSON.parse(line)
  return Object.values({ ...rest, ...(String(address).startsWith('10.') ? { address: '10.9.8.7' } : {}) })
    .map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)))
    .join(' ')
}

const COUNTED =
  /^quorate_(http_requests_total|grpc_calls_total|http_refused_total|http_request_seconds_count|grpc_seconds_count)\{([^}]*)\} (\d+)$/gm

async function counts({ metrics }: Served): Promise<Map<string, number>> {
  const text = await metrics.text()
  return new Map(
    [...text.matchAll(COUNTED)].map(([, , labels = '', value]) => [
      labels.replaceAll('"', ''),
      Number(value),
    ]),
  )
}

function tableOf(wire: Wire, rights: Rights): Promise<string> {
  const bench = new Bench(rights)
  return refusalTable(`${wire.name}; rights are ${rights}`, wire, FAULTS, {
    ask: (...faults) => bench.ask(wire, ...faults),
    measure: (...faults) => bench.measure(wire, ...faults),
  })
}

test('each wire refuses in one order', async () => {
  const tables: string[] = []
  for (const rights of ['off', 'on'] as const)
    for (const wire of WIRES) tables.push(await tableOf(wire, rights))
  await expect(tables.join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'golden/refusals.txt'))
}, 600_000)
