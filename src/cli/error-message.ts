// Errors of the client as messages: the cause first, then what was written, then the next command.

import { NO_TIME, ONLY_TLS } from '../client/call-error.ts'
import { PreconditionFailedError, type QuorateError } from '../client/index.ts'
import { PROGRAM } from '../local/program-name.ts'
import type { Intent } from './exit-codes.ts'
import type { EndpointSource } from './flags/global-flags.ts'

const NOTHING = 'nothing was written'
/** Reason for the end of a try: another program may listen there, or the port is that of the peers. */
const CONNECTION_CUT = 'the connection was cut'
const NODE_SUFFIX = new RegExp(`; ${NOTHING}$`)
/** Other writes of the same command may have been made. */
const NOTHING_OF_IT = 'what failed was not written'

/** `etcd`: members of etcd, which `kv migrate` names. */
type ErrorSource = EndpointSource | 'etcd'

const WHEN_UNREACHABLE: Readonly<Record<ErrorSource, string>> = {
  etcd: 'check the address of etcd, and that it serves clients there (usually at port 2379)',
  user: 'check --endpoints or KV_ENDPOINTS, and that a node runs there',
  context: `check \`${PROGRAM} context list\`, and that a node runs there`,
  'local cluster': `\`${PROGRAM} cluster start\` resumes the cluster here`,
  default: `there is no local cluster here: \`${PROGRAM} cluster start\` starts one, --endpoints names another`,
}

/** Something accepts connections there, and does not answer. */
const WHEN_SILENT: Readonly<Record<ErrorSource, string>> = {
  etcd: WHEN_UNREACHABLE.etcd,
  user: WHEN_UNREACHABLE.user,
  context: WHEN_UNREACHABLE.context,
  'local cluster': `\`${PROGRAM} status\` shows which nodes answer`,
  default: `\`${PROGRAM} cluster status\` shows what runs here, --endpoints names another cluster`,
}

/** Another cluster runs at the ports of the local cluster, which is stopped. */
const WHEN_REPLACED = `; the local cluster here is stopped: end the other, then \`${PROGRAM} cluster start\`, or use the other with --endpoints`

const WHO_YOU_ARE = 'say who you are with --user NAME, or with KV_USER and KV_PASSWORD'
const WHO_YOU_ARE_TO_ETCD = 'say who you are to etcd with --etcd-user NAME and KV_ETCD_PASSWORD'

/** `user`: the name that the command has given, or a text for a token; undefined: none. */
export function formatError(
  error: QuorateError,
  intent: Intent,
  source: ErrorSource,
  user?: string | undefined,
): string {
  const text = withoutEnd(error.message).replace(NODE_SUFFIX, '')
  if (intent.kind === 'write' && error.written === 'unknown' && error.code !== 'aborted') {
    const check = intent.check === undefined ? '' : `; check with: ${intent.check}`
    return `the outcome is unknown: ${text}; the change may have been made, or may still be${check}`
  }
  const nothing = intent.kind === 'write' ? `; ${intent.fromFiles === true ? NOTHING_OF_IT : NOTHING}` : ''
  const who = error.node ?? error.endpoint ?? 'a node'
  switch (error.code) {
    case 'unreachable':
      if (text.includes(ONLY_TLS))
        return `${text.replace(/: use (\S+)$/, ': --endpoints $1 --cacert FILE')}${nothing}`
      if (text.includes(NO_TIME)) return `${text}${nothing}; give the command more time with --timeout`
      return `${text}${nothing}; ${WHEN_UNREACHABLE[source]}`
    case 'no_quorum':
      return `${who} answered, but it cannot reach a majority of the cluster: ${text}${nothing}${staleHint(intent)}`
    case 'no_leader':
      return `${who} answered: ${text}${nothing}${staleHint(intent)}`
    case 'not_ready':
      return `${who} answered, but it is not ready: ${text}${nothing}`
    case 'overloaded':
      return `${who} answered that it is overloaded: ${text}${nothing}; try again later`
    case 'too_stale':
      return `${who} answered, but it cannot prove that its data is fresh enough: ${text}`
    case 'revision_behind':
      return `${who} answered, but it is behind: ${text}`
    case 'unauthenticated':
      // The certificate was refused, before any request was read.
      if (text.startsWith('this node refuses the client')) return `${text}${nothing}`
      // It says what to do about it.
      if (text.startsWith('the certificate ')) return `${text}${nothing}`
      if (user === undefined)
        return `${text}${nothing}; ${source === 'etcd' ? WHO_YOU_ARE_TO_ETCD : WHO_YOU_ARE}`
      return `${text}${nothing}; check the password of ${user}`
    case 'permission_denied':
      if (source === 'etcd') return `${text}${nothing}; \`etcdctl role grant-permission\` permits it`
      return `${text}${nothing}; an administrator can permit it with \`${PROGRAM} role grant\`, and \`${PROGRAM} user show\` prints what you may do`
    case 'loopback_only':
      return `${text}${nothing}`
    case 'wrong_cluster':
      return `${text}${nothing}${source === 'local cluster' ? WHEN_REPLACED : ''}`
    case 'storage_full':
      return `${who} refused the change for lack of space: ${text}${nothing}; delete keys, or free disk space`
    case 'future_revision':
      // The text behind the colon is for programs.
      return `${text.split(': ')[0]}${nothing}`
    case 'range_too_large':
      return `${text}${nothing}; use a smaller range`
    case 'timeout': {
      if (source === 'etcd') return `${text}; ${WHEN_SILENT.etcd}`
      if (text.includes(CONNECTION_CUT)) return `${text}${nothing}; ${WHEN_UNREACHABLE[source]}`
      return `${text}${nothing}${error.endpoint === undefined ? '' : `; ${WHEN_SILENT[source]}`}`
    }
    case 'unexpected_answer':
      return `${who} sent what is ${text}${nothing}; ${WHEN_UNREACHABLE[source]}`
    case 'aborted':
      return error.written === 'unknown' ? 'interrupted; the change may have been made' : 'interrupted'
    case 'precondition_failed':
      if (!(error instanceof PreconditionFailedError)) return `${text}${nothing}`
      return `the condition does not hold: ${whatIsThere(error)}${nothing}`
    default:
      return text
  }
}

function whatIsThere(error: QuorateError): string {
  if (!(error instanceof PreconditionFailedError)) return withoutEnd(error.message)
  const { current } = error
  if (current === null) return 'there is no such key'
  return `${current.key} is at revision ${current.modRevision}`
}

const staleHint = (intent: Intent): string =>
  intent.kind === 'read' ? '; `--consistency stale` reads the data of the node, however old' : ''

const withoutEnd = (sentence: string): string => sentence.replace(/\.+$/, '')
