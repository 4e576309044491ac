// The gate through which every client comes, whatever it speaks. A wire says what a client has sent of itself, and what
// it wants. The gate answers with its user, or with a refusal that is audited already. The wire only puts it in words.
//
// The order of the checks is one for all wires (test/server/clients/golden/refusals.txt). First come the name of the
// host, the machine of the client, the page that sends the request, and the cluster. Then a node that stops refuses
// what lasts, the wire checks the rest of the head, and the client is identified. Nothing that follows the head is read
// before.

import type { OpenAccess } from '../../operations/definition.ts'
import { ApiError } from '../../operations/forms/index.ts'
import type { Operation } from '../../operations/index.ts'
import type { Api } from '../api/api.ts'
import { parseClaimedUser } from '../api/authenticator.ts'
import type { Call, Principal } from '../api/call.ts'
import { isNodeCertificate } from '../tls/identity.ts'
import type { ClientConnection } from './client-connection.ts'
import { type Guard, isOfPage, loopbackOnly, type RequestHead } from './guard.ts'
import { type ClientIdentity, isJoining, nonUserError } from './identity.ts'

/** The head of a request or of a connection, and what the gate finds out about its client. */
export interface Opening extends RequestHead, Pick<Call, 'origin'> {
  readonly connection: ClientConnection
  readonly target: { readonly authority: string | undefined; readonly query: string }
  /** The cluster that the client expects. */
  readonly cluster: string | readonly string[] | undefined
  /**
   * Browsers name the page in every request of this wire. One that names none comes from a program, so the name of the
   * host, under which a page would reach the node, says nothing.
   */
  readonly namesPage?: boolean
  /** Its credentials, in the form of the Authorization header of HTTP. */
  readonly authorization: string | undefined
  /** Headers of CORS for every response to this client. */
  extra: readonly string[]
  /** Rights were not checked when it arrived. */
  isUnidentified: boolean
  principal: Principal | undefined
  /** It is no user while rights are checked, or of another machine while they are not. */
  isUnauthenticated: boolean
  /** Checks the rest of the head. Throws what the wire refuses it with. */
  check(): void
  /** How long a refusal may wait for newer users and rights, in milliseconds. */
  newerWithinMs(): number
}

/** The facts of what a client wants that decide who may have it. */
export interface Wanted<O extends Opening = Opening> {
  /** Clients who are no users may have it too, while rights are checked. */
  readonly open?: OpenAccess | undefined
  /** A probe of the health. It shows no data: it is answered under any name, and to clients of other machines. */
  readonly isProbe?: boolean
  /** A page that users may visit by a link of another site. */
  readonly isPage?: boolean
  /** A node that joins may have it, with the certificate of a node. */
  readonly isForJoining?: boolean | undefined
  /** A connection, or a stream of many responses. A node that stops begins none. */
  readonly isLasting?: boolean
  /** Decodes the operation, if the head alone says it. Throws `ApiError`. */
  readonly decode?: (opening: O) => Operation
}

type Facts = Omit<Wanted, 'decode'>

/** An operation of users, and nothing else. */
export const FOR_USERS: Wanted = {}

/** Answers for anybody, which say nothing of the store. */
export const FOR_ALL: Wanted = { open: { isLogin: false, requestBytesMax: 1024 } }

/** The refusal of what a node that stops does not begin. */
const NODE_STOPS = new ApiError('not_ready', 'this node stops')

interface GateOptions {
  readonly api: Api
  readonly guard: Guard
  readonly identity: ClientIdentity
  readonly isClosing: () => boolean
}

export class Gate {
  readonly #options: GateOptions

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Whether rights are not checked, or this is a user. */
  isUser(principal: Principal | undefined): boolean {
    return this.#options.identity.isUser(principal)
  }

  /** Calls `then` once, now or later, with what the client is refused with; undefined: it may have what it wants. */
  admit<O extends Opening>(
    opening: O,
    wanted: Wanted<O>,
    then: (opening: O, refusal: unknown) => void,
  ): void {
    const { api, identity } = this.#options
    const { auth } = api.node
    const isChecked = auth.enabled
    opening.isUnidentified = !isChecked
    try {
      this.#checkHead(opening, wanted, isChecked)
    } catch (error) {
      this.#audit(opening, wanted, error)
      const isUnserved = error instanceof ApiError && error.code === 'loopback_only'
      opening.isUnauthenticated = isUnserved || (isChecked && !opening.connection.isKnown)
      then(opening, error)
      return
    }
    if (identity.isNeeded) this.#identify(opening, wanted, then)
    else this.#admitted(opening, wanted, then)
  }

  /** Throws the refusal. */
  #checkHead(opening: Opening, wanted: Facts, isChecked: boolean): void {
    const { guard, isClosing } = this.#options
    // `?verbose` shows terms and names, which a page of another site must not read under a host name of its own.
    const isBareProbe = wanted.isProbe === true && opening.target.query === ''
    const isOfProgram = opening.namesPage === true && !isOfPage(opening)
    if (!isBareProbe && !isOfProgram) guard.checkHost(opening, opening.target.authority)
    if (!isChecked) checkServed(opening.connection, wanted)
    opening.extra = guard.checkOrigin(opening, wanted.isPage)
    guard.checkCluster(opening.cluster)
    if (wanted.isLasting === true && isClosing()) throw NODE_STOPS
    opening.check()
  }

  #identify<O extends Opening>(
    opening: O,
    wanted: Wanted<O>,
    then: (opening: O, refusal: unknown) => void,
  ): void {
    const { identity } = this.#options
    const { open } = wanted
    const { connection } = opening
    const refuse = (error: ApiError): void => {
      this.#audit(opening, wanted, error)
      opening.isUnauthenticated = true
      then(opening, error)
    }
    // At a login the token may have ended, and its user may be gone.
    const authorization = open?.isLogin === true ? undefined : opening.authorization
    const newerMs = opening.newerWithinMs()
    identity.identify(connection, authorization, newerMs, (error, principal) => {
      opening.principal = principal
      if (open !== undefined && (error === undefined || error.code === 'unauthenticated'))
        return this.#admitted(opening, wanted, then)
      if (error !== undefined) return refuse(error)
      if (wanted.isForJoining === true && isJoining(principal)) return this.#admitted(opening, wanted, then)
      identity.whenKnown(principal, newerMs, (unknown) => {
        if (unknown !== undefined) refuse(unknown)
        else if (!identity.isUser(principal)) refuse(nonUserError(principal, connection.socket))
        else this.#admitted(opening, wanted, then)
      })
    })
  }

  #admitted<O extends Opening>(
    opening: O,
    { open, isForJoining = false, isLasting = false }: Wanted<O>,
    then: (opening: O, refusal: unknown) => void,
  ): void {
    const { identity, isClosing } = this.#options
    const { principal } = opening
    const isUnauthenticated =
      !(isForJoining && isJoining(principal)) &&
      (!identity.isUser(principal) || identity.onlyProbes(opening.connection))
    if (!isUnauthenticated) opening.connection.identified()
    // Answers for anybody end no connection of a user.
    opening.isUnauthenticated = isUnauthenticated && (open === undefined || !opening.connection.isKnown)
    // It may have begun to stop while the client was identified, which takes the time of a password.
    then(opening, isLasting && isClosing() ? NODE_STOPS : undefined)
  }

  /** Writes a line for a client that is not served, whoever it is. */
  #audit<O extends Opening>(opening: O, wanted: Wanted<O>, error: unknown): void {
    if (!(error instanceof ApiError) || !UNSERVED.has(error.code)) return
    const name = parseClaimedUser(opening.authorization)
    this.#options.api.audit?.refused(opening, error, { name }, () => findOperation(opening, wanted))
  }
}

/** Throws `ApiError` for a client of another machine, while rights are not checked. */
export function checkServed(
  { isServed, socket }: Pick<ClientConnection, 'isServed' | 'socket'>,
  wanted: Facts = FOR_USERS,
): void {
  if (isServed || wanted.isProbe === true) return
  if (wanted.isForJoining === true && isNodeCertificate(socket)) return
  throw loopbackOnly()
}

/** The operation in the line of a refusal. A client may have sent anything in its place. */
function findOperation<O extends Opening>(opening: O, { decode }: Wanted<O>): Operation | undefined {
  try {
    return decode?.(opening)
  } catch (error) {
    if (error instanceof ApiError) return undefined
    throw error
  }
}

/** Codes of refusals with a line in the audit log. Others, such as that of a node that stops, have none. */
const UNSERVED: ReadonlySet<string> = new Set([
  'loopback_only',
  'unauthenticated',
  'host_not_allowed',
  'origin_not_allowed',
])
