// Argument checks of the public functions of this folder.

import {
  type Check,
  type Checks,
  checkFields,
  checkOptions,
  checkSecret,
  checkValue,
  isFlag,
  isFunction,
  isListOf,
  isObject,
  isOneOf,
  isPositive,
  isSecret,
  isText,
  isTimeout,
  isWholeNumber,
} from '../client/validators.ts'
import { isPeerAddress } from '../operations/forms/members.ts'
import type {
  Founding,
  ListenAddress,
  Logger,
  NodeOptions,
  NodeTls,
  PeerTls,
  ScheduledBackup,
} from '../server/options.ts'
import type { ClusterOptions, PartitionOptions, WaitOptions } from './types.ts'

const isNumber: Check = (value) => (typeof value === 'number' ? undefined : 'a number')
const isPort: Check = (value) =>
  isWholeNumber(value) === undefined && Number(value) <= 65_535 ? undefined : 'a port (0 to 65535)'
const isUrl: Check = (value) => {
  const url = isText(value) === undefined ? URL.parse(String(value)) : null
  return url?.protocol === 'http:' || url?.protocol === 'https:'
    ? undefined
    : 'a URL, such as http://127.0.0.1:7301'
}
const isHostAndPort: Check = (value) =>
  isText(value) === undefined && isPeerAddress(String(value))
    ? undefined
    : 'host:port, such as 127.0.0.1:7401'

const LOGGER: Checks<Logger> = { debug: isFunction, info: isFunction, warn: isFunction, error: isFunction }
const TIMING: Checks<NonNullable<NodeOptions['timing']>> = {
  heartbeatMs: isNumber,
  electionMinMs: isNumber,
  electionMaxMs: isNumber,
  commitDelayMs: isNumber,
  failoverDelayMaxMs: isNumber,
  driftMax: isNumber,
}
const CLUSTER: Checks<ClusterOptions> = {
  nodes: isNumber,
  dataDir: isText,
  tls: isFlag,
  ports: isListOf(isPort, 'a list of ports, such as [7301, 7302, 7303]'),
  auth: isObject,
  timing: isObject,
  logger: isObject,
  readyTimeoutMs: isTimeout,
}
const NODE_TLS: Checks<NodeTls> = {
  cert: isText,
  key: isText,
  ca: isText,
  crl: isText,
  clientCert: isOneOf('optional', 'required'),
}
const PEER_TLS: Checks<PeerTls> = { cert: isText, key: isText, ca: isText, crl: isText }
const LISTEN: Checks<ListenAddress> = { host: isText, port: isPort }
const REQUIRED: Pick<Checks<NodeOptions>, 'name' | 'dataDir' | 'listen' | 'peerListen' | 'founding'> = {
  name: isText,
  dataDir: isText,
  listen: isObject,
  peerListen: isObject,
  founding: isObject,
}
const isTexts = isListOf(isText, 'a list of strings')
const NODE: Checks<NodeOptions> = {
  ...REQUIRED,
  metricsListen: isListOf(isObject, "a list of addresses, such as [{ host: '127.0.0.1', port: 9301 }]"),
  advertisePeer: isHostAndPort,
  advertiseUrl: isUrl,
  timing: isObject,
  diskReserveBytes: isWholeNumber,
  httpLimits: isObject,
  tls: isObject,
  peerTls: isObject,
  insecure: isFlag,
  allowedHosts: isTexts,
  corsOrigins: isTexts,
  auditLog: isObject,
  discardSuspectTail: isFlag,
  backup: isObject,
  logger: isObject,
}
const BACKUP: Checks<ScheduledBackup> = { to: isText, everyMs: isTimeout, keep: isPositive }
const isId: Check = (value) =>
  isText(value) === undefined && /^[1-9][0-9]{0,19}$/.test(String(value)) && BigInt(String(value)) < 2n ** 64n
    ? undefined
    : 'an id (1 to 20 decimal digits, below 2^64)'
const JOIN = {
  urls: isListOf(isUrl, "a list of URLs, such as ['http://127.0.0.1:7301']"),
  replace: isFlag,
}
const FOUNDINGS: {
  readonly [Kind in Founding['kind']]: Checks<Omit<Extract<Founding, { kind: Kind }>, 'kind'>>
} = {
  bootstrap: { clusterId: isId },
  join: { ...JOIN, clusterId: isId, authorization: isText },
  existing: {},
}
const isGroups = isListOf(
  isListOf(isText, 'a list of names'),
  "a list of groups of names, such as [['n1'], ['n2', 'n3']]",
)
const PARTITION: Checks<PartitionOptions> = { reset: isFlag }
const WAIT: Checks<WaitOptions> = { timeoutMs: isTimeout }

export function checkCluster(options: ClusterOptions): void {
  checkOptions('startCluster', options, CLUSTER)
  if (options.auth !== undefined) checkAuth(options.auth)
  checkShared('startCluster', options)
}

function checkAuth(auth: NonNullable<ClusterOptions['auth']>): void {
  checkOptions('startCluster: auth', auth, { rootPassword: isSecret })
  const { rootPassword = '' } = auth
  checkSecret('startCluster: auth', 'rootPassword', rootPassword, {
    pattern: /^.{8,}$/s,
    expected: 'a string of 8 characters or more',
  })
}

export function checkClientOptions(options: object): void {
  checkValue('client', 'options', options, isObject)
}

export function checkNodeName(name: unknown): void {
  checkValue('node', 'name', name, isText)
}

export function checkPartition(groups: unknown, options: PartitionOptions): void {
  checkValue('partition', 'groups', groups, isGroups)
  checkOptions('partition', options, PARTITION)
}

export function checkWait(options: WaitOptions): void {
  checkOptions('waitForLeader', options, WAIT)
}

export function checkNode(options: NodeOptions): void {
  checkOptions('startNode', options, NODE)
  for (const [name, check] of Object.entries(REQUIRED)) {
    checkValue('startNode', name, options[name as keyof typeof REQUIRED], check)
  }
  checkFields('startNode: listen', options.listen, LISTEN)
  checkFields('startNode: peerListen', options.peerListen, LISTEN)
  for (const address of options.metricsListen ?? []) checkFields('startNode: metricsListen', address, LISTEN)
  checkTls(options)
  checkFounding(options.founding)
  if (options.backup !== undefined) checkFields('startNode: backup', options.backup, BACKUP)
  checkShared('startNode', options)
}

function checkTls({ tls, peerTls }: NodeOptions): void {
  if (tls !== undefined) {
    checkOptions('startNode: tls', tls, NODE_TLS)
    checkFields('startNode: tls', { cert: tls.cert, key: tls.key }, { cert: isText, key: isText })
  }
  if (peerTls === undefined) return
  checkOptions('startNode: peerTls', peerTls, PEER_TLS)
  const { cert, key, ca } = peerTls
  checkFields('startNode: peerTls', { cert, key, ca }, { cert: isText, key: isText, ca: isText })
}

function checkFounding(founding: Founding): void {
  const { kind, ...rest } = founding
  const isKind: Check = (value) =>
    value === 'bootstrap' || value === 'join' || value === 'existing'
      ? undefined
      : 'bootstrap, join or existing'
  checkValue('startNode: founding', 'kind', kind, isKind)
  checkOptions('startNode: founding', rest, FOUNDINGS[kind])
  if (founding.kind !== 'join') return
  const { urls, replace } = founding
  checkFields('startNode: founding', { urls, replace }, JOIN)
}

function checkShared(where: string, { timing, logger }: NodeOptions | ClusterOptions): void {
  if (timing !== undefined) checkOptions(`${where}: timing`, timing, TIMING)
  if (logger === undefined) return
  // Other methods of a logger are allowed.
  for (const [name, check] of Object.entries(LOGGER)) {
    checkValue(`${where}: logger`, name, logger[name as keyof Logger], check)
  }
}
