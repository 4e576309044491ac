// The command that starts the node of a new replica, and the addresses that suit it.

import { shellWord } from '../../../../src/bytes/shell-word.ts'
import type { MemberDescription } from '../../../../src/operations/documents/members.ts'
import { isBaseUrl, isPeerAddress } from '../../../../src/operations/forms/members.ts'

/** A replica as the user types it. */
export interface ReplicaText {
  readonly name: string
  readonly id: string
  readonly peer: string
  readonly url: string
}

/** Where a node listens: `host:port`. */
export interface NodeAddresses {
  readonly client: string
  readonly peer: string
}

const NAME = /^[a-z0-9-]{1,63}$/
const NUMBERED = /^(.*?)(\d+)$/
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/

export const isMemberName = (name: string): boolean => NAME.test(name)

/** `n4` beside n1, n2 and n3; '' if the names have no numbers. */
export function nextName(names: readonly string[]): string {
  const numbered = names.flatMap((name) => {
    const [, stem, number] = NUMBERED.exec(name) ?? []
    return stem === undefined ? [] : [{ stem, number: Number(number) }]
  })
  const last = numbered.sort((a, b) => b.number - a.number)[0]
  return last === undefined ? '' : `${last.stem}${last.number + 1}`
}

/**
 * Addresses for one more node: free ports where all nodes are on this machine, otherwise those of the others on a
 * machine that the user names.
 */
export function nextAddresses(members: readonly MemberDescription[], machine: string): NodeAddresses {
  const clients = members.map(({ url }) => splitAddress(url.replace(/^https?:\/\//, '')))
  const peers = members.map(({ peer }) => splitAddress(peer))
  const host = clients[0]?.host ?? ''
  if (clients.length > 0 && clients.every((each) => LOOPBACK.test(each.host)))
    return { client: `${host}:${highest(clients) + 1}`, peer: `${host}:${highest(peers) + 1}` }
  return { client: `${machine}:${highest(clients)}`, peer: `${machine}:${highest(peers)}` }
}

interface Address {
  readonly host: string
  readonly port: number
}

function splitAddress(text: string): Address {
  const [, host = text, port = ''] = /^(.*):(\d+)/.exec(text) ?? []
  return { host, port: Number(port) }
}

const highest = (addresses: readonly Address[]): number => Math.max(0, ...addresses.map(({ port }) => port))

export interface StartedNode extends NodeAddresses {
  readonly name: string
  /** Base URLs of members. */
  readonly join: readonly string[]
  readonly isReplacement: boolean
}

export function startCommand({ name, client, peer, join, isReplacement }: StartedNode): string {
  return [
    `quorate node start --name ${shellWord(name)}`,
    `--data ${shellWord(`/var/lib/quorate/${name}`)}`,
    `--listen ${shellWord(client)}`,
    `--peer-listen ${shellWord(peer)}`,
    `--join ${shellWord(join.join(','))}${isReplacement ? ' --replace' : ''}`,
  ].join(' \\\n  ')
}

/** Faults of a replica that somebody typed, by field; undefined: none. */
export function findReplicaFaults({ name, id, peer, url }: ReplicaText): {
  readonly [F in keyof ReplicaText]: string | undefined
} {
  return {
    name: isMemberName(name) ? undefined : '1 to 63 of a–z, 0–9 and - are needed',
    id: /^[1-9][0-9]{0,19}$/.test(id) ? undefined : 'A whole number above 0 is needed',
    peer: isPeerAddress(peer) ? undefined : 'HOST:PORT is needed',
    url: isBaseUrl(url) ? undefined : 'http://HOST:PORT or https://HOST:PORT is needed',
  }
}
