// The identity of the clients of a node: who a client is, by its credentials or its certificate, and whether it is a
// user.

import type { Socket } from 'node:net'
import { ApiError } from '../../operations/forms/index.ts'
import type { Api } from '../api/api.ts'
import type { Credentials } from '../api/authenticator.ts'
import type { Principal } from '../api/call.ts'
import { JoiningNode, noSuchUser, unauthenticated, whenNewest } from '../api/permit.ts'
import {
  findCertificateUser,
  findNobody,
  findNodeCertificate,
  isNodeCertificate,
  objectionToPeer,
} from '../tls/identity.ts'
import type { ClientConnection } from './client-connection.ts'

/** The part of a connection that tells who its client is. */
type Connection = Pick<ClientConnection, 'socket' | 'isServed'>

export class ClientIdentity {
  readonly #api: Api
  readonly #isSecure: boolean

  /** `isSecure`: clients may show certificates. */
  constructor(api: Api, isSecure: boolean) {
    this.#api = api
    this.#isSecure = isSecure
  }

  /** Whether credentials are read: rights are checked, or may be switched on by the user of a certificate. */
  get isNeeded(): boolean {
    return this.#api.node.auth.enabled || this.#isSecure
  }

  /** Calls `done` once, now or later. `authorization`: credentials, in the form of the Authorization header of HTTP. */
  identify(
    connection: Connection,
    authorization: string | undefined,
    newerMs: number,
    done: (error: ApiError | undefined, principal: Principal | undefined) => void,
  ): void {
    this.#api.authenticator.identify(this.#findCredentials(connection, authorization), newerMs, done)
  }

  /** Calls `then` once. A node refuses no certificate before it knows that its user was not made a moment ago. */
  whenKnown(
    principal: Principal | undefined,
    newerMs: number,
    then: (error: ApiError | undefined) => void,
  ): void {
    if (principal === undefined || this.isUser(principal)) then(undefined)
    else whenNewest(this.#api.node, newerMs, then)
  }

  /** Whether rights are not checked, or this is a user. A certificate may name anybody. */
  isUser(principal: Principal | undefined): boolean {
    const { enabled, state } = this.#api.node.auth
    return !enabled || (principal !== undefined && state.findRights(principal.user) !== undefined)
  }

  /** Whether rights are not checked, and of this client only probes of the health are served. */
  onlyProbes({ isServed, socket }: Connection): boolean {
    return !this.#api.node.auth.enabled && !isServed && !isNodeCertificate(socket)
  }

  /** While rights are not checked, of another machine only a node that joins is served. */
  #findCredentials({ socket, isServed }: Connection, authorization: string | undefined): Credentials {
    const joinsOnly = !this.#api.node.auth.enabled && !isServed
    const certificate = findNodeCertificate(socket)
    const node = certificate && ((member: NodeMember) => objectionToPeer(certificate, member) === undefined)
    return {
      authorization,
      address: socket.remoteAddress ?? '',
      node,
      certificateUser: node !== undefined && joinsOnly ? undefined : findCertificateUser(socket),
    }
  }
}

/** Whether it is a node that joins, which may do little else. */
export const isJoining = (principal: Principal | undefined): boolean => principal instanceof JoiningNode

/** The error for a client that is no user, while rights are checked. */
export function nonUserError(principal: Principal | undefined, socket: Socket): ApiError {
  if (principal !== undefined) return noSuchUser(principal)
  const why = findCertificateUser(socket) === undefined ? findNobody(socket) : NO_NAME_OF_A_USER
  if (why === undefined) return unauthenticated()
  return new ApiError(
    'unauthenticated',
    `the certificate names no user: ${why}; show one that \`quorate cert client NAME\` makes, or log in`,
  )
}

const NO_NAME_OF_A_USER =
  'its name is not of up to 64 letters, digits and . _ @ + -, of which the first is a letter or a digit'

type NodeMember = Parameters<typeof objectionToPeer>[1]
