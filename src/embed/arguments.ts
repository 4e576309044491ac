// Argument checks of the public functions of this folder.

import {
  type Check,
  type Checks,
  checkFields,
  checkOptions,
  checkSecret,
  checkValue,
  choiceCheck,
  flagCheck,
  functionCheck,
  listCheck,
  objectCheck,
  positiveCheck,
  secretCheck,
  textCheck,
  timeoutCheck,
  wholeNumberCheck,
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

const numberCheck: Check = (value) => (typeof value === 'number' ? undefined : 'a number')
const portCheck: Check = (value) =>
  wholeNumberCheck(value) === undefined && Number(value) <= 65_535 ? undefined : 'a port (0 to 65535)'
const urlCheck: Check = (value) => {
  const url = textCheck(value) === undefined ? URL.parse(String(value)) : null
  return url?.protocol === 'http:' || url?.protocol === 'https:'
    ? undefined
    : 'a URL, such as http://127.0.0.1:7301'
}
const hostAndPortCheck: Check = (value) =>
  textCheck(value) === undefined && isPeerAddress(String(value))
    ? undefined
    : 'host:port, such as 127.0.0.1:7401'

const LOGGER: Checks<Logger> = {
  debug: functionCheck,
  info: functionCheck,
  warn: functionCheck,
  error: functionCheck,
}
const TIMING: Checks<NonNullable<NodeOptions['timing']>> = {
  heartbeatMs: numberCheck,
  electionMinMs: numberCheck,
  electionMaxMs: numberCheck,
  commitDelayMs: numberCheck,
  failoverDelayMaxMs: numberCheck,
  driftMax: numberCheck,
}
const CLUSTER: Checks<ClusterOptions> = {
  nodes: numberCheck,
  dataDir: textCheck,
  tls: flagCheck,
  ports: listCheck(portCheck, 'a list of ports, such as [7301, 7302, 7303]'),
  auth: objectCheck,
  timing: objectCheck,
  logger: objectCheck,
  readyTimeoutMs: timeoutCheck,
}
const NODE_TLS: Checks<NodeTls> = {
  cert: textCheck,
  key: textCheck,
  ca: textCheck,
  crl: textCheck,
  clientCert: choiceCheck('optional', 'required'),
}
const PEER_TLS: Checks<PeerTls> = { cert: textCheck, key: textCheck, ca: textCheck, crl: textCheck }
const LISTEN: Checks<ListenAddress> = { host: textCheck, port: portCheck }
const REQUIRED: Pick<Checks<NodeOptions>, 'name' | 'dataDir' | 'listen' | 'peerListen' | 'founding'> = {
  name: textCheck,
  dataDir: textCheck,
  listen: objectCheck,
  peerListen: objectCheck,
  founding: objectCheck,
}
const textsCheck = listCheck(textCheck, 'a list of strings')
const NODE: Checks<NodeOptions> = {
  ...REQUIRED,
  metricsListen: listCheck(objectCheck, "a list of addresses, such as [{ host: '127.0.0.1', port: 9301 }]"),
  advertisePeer: hostAndPortCheck,
  advertiseUrl: urlCheck,
  timing: objectCheck,
  diskReserveBytes: wholeNumberCheck,
  httpLimits: objectCheck,
  tls: objectCheck,
  peerTls: objectCheck,
  insecure: flagCheck,
  allowedHosts: textsCheck,
  corsOrigins: textsCheck,
  etcdApi: flagCheck,
  auditLog: objectCheck,
  discardSuspectTail: flagCheck,
  backup: objectCheck,
  logger: objectCheck,
}
const BACKUP: Checks<ScheduledBackup> = { to: textCheck, everyMs: timeoutCheck, keep: positiveCheck }
const idCheck: Check = (value) =>
  textCheck(value) === undefined &&
  /^[1-9][0-9]{0,19}$/.test(String(value)) &&
  BigInt(String(value)) < 2n ** 64n
    ? undefined
    : 'an id (1 to 20 decimal digits, below 2^64)'
const JOIN = {
  urls: listCheck(urlCheck, "a list of URLs, such as ['http://127.0.0.1:7301']"),
  replace: flagCheck,
}
const FOUNDINGS: {
  readonly [Kind in Founding['kind']]: Checks<Omit<Extract<Founding, { kind: Kind }>, 'kind'>>
} = {
  bootstrap: { clusterId: idCheck },
  join: { ...JOIN, clusterId: idCheck, authorization: textCheck },
  existing: {},
}
const groupsCheck = listCheck(
  listCheck(textCheck, 'a list of names'),
  "a list of groups of names, such as [['n1'], ['n2', 'n3']]",
)
const PARTITION: Checks<PartitionOptions> = { reset: flagCheck }
const WAIT: Checks<WaitOptions> = { timeoutMs: timeoutCheck }

export function checkCluster(options: ClusterOptions): void {
  checkOptions('startCluster', options, CLUSTER)
  if (options.auth !== undefined) checkAuth(options.auth)
  checkShared('startCluster', options)
}

function checkAuth(auth: NonNullable<ClusterOptions['auth']>): void {
  checkOptions('startCluster: auth', auth, { rootPassword: secretCheck })
  const { rootPassword = '' } = auth
  checkSecret('startCluster: auth', 'rootPassword', rootPassword, {
    pattern: /^.{8,}$/s,
    expected: 'a string of 8 characters or more',
  })
}

export function checkClientOptions(options: object): void {
  checkValue('client', 'options', options, objectCheck)
}

export function checkNodeName(name: unknown): void {
  checkValue('node', 'name', name, textCheck)
}

export function checkPartition(groups: unknown, options: PartitionOptions): void {
  checkValue('partition', 'groups', groups, groupsCheck)
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
    checkFields('startNode: tls', { cert: tls.cert, key: tls.key }, { cert: textCheck, key: textCheck })
  }
  if (peerTls === undefined) return
  checkOptions('startNode: peerTls', peerTls, PEER_TLS)
  const { cert, key, ca } = peerTls
  checkFields('startNode: peerTls', { cert, key, ca }, { cert: textCheck, key: textCheck, ca: textCheck })
}

function checkFounding(founding: Founding): void {
  const { kind, ...rest } = founding
  const kindCheck: Check = (value) =>
    value === 'bootstrap' || value === 'join' || value === 'existing'
      ? undefined
      : 'bootstrap, join or existing'
  checkValue('startNode: founding', 'kind', kind, kindCheck)
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
