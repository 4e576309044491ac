// The options of a node: their defaults, and what is wrong with them.

import { resolve } from 'node:path'
import { isBucket } from '../../backup/target.ts'
import { parseBackupTarget } from '../../backup/target-of.ts'
import { isBaseUrl, isPeerAddress } from '../../operations/forms/members.ts'
import { type RaftTiming, timingFault } from '../../raft/timing.ts'
import type { RaftMember } from '../../raft/types.ts'
import { isLoopback } from '../../system/addresses.ts'
import type { ServedClients } from '../clients/guard.ts'
import { httpLimitsFault } from '../listener/limits.ts'
import { type DriverLimits, driverLimits, raftTiming } from '../node/limits.ts'
import { OPEN_FILES_MIN, openFilesMax } from '../node/observe/descriptors.ts'
import type { NodeOptions, Optional } from '../options.ts'
import { NodeStartError, type NodeTls, type ScheduledBackup } from '../options.ts'

export interface StartOptions extends NodeOptions {
  /**
   * Dials this host:port in place of the member's address. A local cluster connects its peers through relays with it.
   */
  readonly resolvePeer?: ((member: RaftMember) => string) | undefined
}

/** Checks the options before anything is opened or created. */
export function checkStartOptions(options: StartOptions): void {
  const { name, listen, peerListen, insecure, founding, diskReserveBytes } = options
  if (!/^[a-z0-9-]{1,63}$/.test(name)) {
    throw new NodeStartError(`not a node name: ${JSON.stringify(name)}; use 1 to 63 of a-z, 0-9 and -`, {
      usage: true,
    })
  }
  if (openFilesMax() < OPEN_FILES_MIN) {
    throw new NodeStartError(
      `this process may have ${openFilesMax()} open files, and a node needs ${OPEN_FILES_MIN}; raise the limit with ulimit -n 4096`,
    )
  }
  if (founding.kind === 'join' && founding.urls.length === 0) {
    throw new NodeStartError('--join needs at least one URL', { usage: true })
  }
  if (diskReserveBytes !== undefined && !(Number.isSafeInteger(diskReserveBytes) && diskReserveBytes >= 0)) {
    throw new NodeStartError(`the disk reserve is a whole number of bytes, not ${diskReserveBytes}`, {
      usage: true,
    })
  }
  checkBackup(options)
  checkAddresses(options)
  checkTiming(timingFrom(options))
  const fault = httpLimitsFault(withoutUndefined(options.httpLimits))
  if (fault !== undefined) throw new NodeStartError(fault, { usage: true })
  checkTls(options)
  const listeners = [
    { host: listen.host, isSecure: options.tls !== undefined, flags: '--tls-cert and --tls-key' },
    {
      host: peerListen.host,
      isSecure: options.peerTls !== undefined,
      flags: '--peer-tls-cert, --peer-tls-key and --peer-tls-ca',
    },
  ]
  for (const { host, isSecure, flags } of listeners) {
    if (insecure || isSecure || isLoopback(host)) continue
    throw new NodeStartError(
      `${host} can be reached from other machines, and nothing there is encrypted; add ${flags}, listen on 127.0.0.1, or accept that with --insecure`,
      { usage: true },
    )
  }
}

function checkTls({ tls, advertiseUrl }: StartOptions): void {
  const fault = tls && tlsFault(tls)
  if (fault !== undefined) throw new NodeStartError(fault, { usage: true })
  if (tls === undefined || advertiseUrl === undefined || advertiseUrl.startsWith('https://')) return
  throw new NodeStartError(`the client port speaks only TLS, so ${advertiseUrl} must begin with https://`, {
    usage: true,
  })
}

function tlsFault({ ca, crl, clientCert }: NodeTls): string | undefined {
  if (ca !== undefined) return undefined
  if (crl !== undefined) return '--tls-crl needs --tls-ca: it lists certificates that these CAs have revoked'
  return clientCert === undefined
    ? undefined
    : '--client-cert needs --tls-ca: the CAs that sign the certificates of clients'
}

/** Clients of other machines are served if they need certificates, or if the operator accepts all. */
export const servedClients = ({ tls, insecure }: StartOptions): ServedClients =>
  insecure === true || tls?.clientCert === 'required' ? 'all' : 'own-machine'

function checkBackup({ backup }: StartOptions): void {
  if (backup === undefined) return
  try {
    parseBackupTarget(backup.to, process.env)
  } catch (error) {
    throw new NodeStartError(error instanceof Error ? error.message : String(error), { usage: true })
  }
}

/** Checks the advertised addresses: all other nodes would dial them. */
function checkAddresses({ advertisePeer, advertiseUrl }: StartOptions): void {
  if (advertisePeer !== undefined && !isPeerAddress(advertisePeer)) {
    throw new NodeStartError(
      `not an address for other nodes: ${JSON.stringify(advertisePeer)}; it must be host:port, such as 127.0.0.1:7401`,
      { usage: true },
    )
  }
  if (advertiseUrl !== undefined && !isBaseUrl(advertiseUrl)) {
    throw new NodeStartError(
      `not a URL for clients: ${JSON.stringify(advertiseUrl)}; it must be an http URL without query and without a final slash, such as http://127.0.0.1:7301`,
      { usage: true },
    )
  }
}

/** Far above useful values, and within the range of timers. */
const TIMING_MS_MAX = 3_600_000

function checkTiming(timing: RaftTiming): void {
  for (const [name, value] of Object.entries(timing)) {
    const max = name === 'driftMax' ? 1 : TIMING_MS_MAX
    if (value >= 0 && value <= max) continue
    throw new NodeStartError(`timing: ${name} must be a number from 0 to ${max}, not ${value}`, {
      usage: true,
    })
  }
  const fault = timingFault(timing)
  if (fault !== undefined) throw new NodeStartError(fault, { usage: true })
}

export const driverLimitsFrom = ({
  diskReserveBytes = driverLimits.diskReserveBytes,
}: StartOptions): DriverLimits => ({
  ...driverLimits,
  diskReserveBytes,
})

/** Hosts that clients may name: the allowed ones, the listen host and the advertised one. */
export function allowedHostsFrom({
  allowedHosts = [],
  advertiseUrl = '',
  listen,
}: StartOptions): readonly string[] {
  const advertised = URL.parse(advertiseUrl)
  return [...allowedHosts, listen.host, ...(advertised === null ? [] : [advertised.hostname])]
}

export const timingFrom = ({ timing }: StartOptions): RaftTiming => ({
  ...raftTiming,
  ...withoutUndefined(timing),
})

/** Drops undefined options, so that they do not replace defaults. */
export function withoutUndefined<Options extends object>(options: Optional<Options> = {}): Partial<Options> {
  const found: Partial<Options> = {}
  for (const name in options) {
    const value = options[name]
    if (value !== undefined) found[name] = value
  }
  return found
}

/** The application may change its working directory later. */
export const resolveStartOptions = (backup: ScheduledBackup | undefined): ScheduledBackup | undefined =>
  backup && { ...backup, to: isBucket(backup.to) ? backup.to : resolve(backup.to) }
