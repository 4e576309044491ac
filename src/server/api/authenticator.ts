// Finds the user who makes a request. A password comes before a token, a token before a certificate. A wrong one is an
// error, and the next one is not tried.

import { isAuthName } from '../../kv/index.ts'
import { ApiError } from '../../operations/forms/index.ts'
import { signAuthToken } from '../auth/auth-tokens.ts'
import { Passwords, PasswordsBusyError } from '../auth/passwords.ts'
import { UsedTokens } from '../auth/used-tokens.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Principal } from './call.ts'
import { JoiningNode, type NodeNames, whenNewest } from './permit.ts'

export interface Credentials {
  /** The Authorization header. */
  readonly authorization: string | undefined
  /** The IP address of the client. */
  readonly address: string
  /** The user of a verified client certificate. */
  readonly certificateUser: string | undefined
  /** The names in the certificate, if it is one of a node of the cluster. */
  readonly node?: NodeNames | undefined
}

type IdentifyCallback = (error: ApiError | undefined, principal: Principal | undefined) => void

export class Authenticator {
  readonly #node: Pick<KvNode, 'auth' | 'read'>
  readonly passwords = new Passwords()
  readonly #tokenMs: number
  readonly #tokens: UsedTokens

  /** `tokenMs`: how long a token lives after the login, and after each use. */
  constructor(node: Pick<KvNode, 'auth' | 'read'>, tokenMs: number) {
    this.#node = node
    this.#tokenMs = tokenMs
    this.#tokens = new UsedTokens(tokenMs)
  }

  /**
   * Calls `done` with the user, or with undefined if nobody is named; possibly before it returns. While rights are not
   * checked, only a certificate is read: it may be the only credential of the user root who enables them. Before
   * it refuses somebody it waits `newerMs`, at most, for the newest users.
   */
  identify(credentials: Credentials, newerMs: number, done: IdentifyCallback): void {
    const { revision } = this.#node.auth
    this.#identify(credentials, (error, principal) => {
      if (error?.code !== 'unauthenticated') return done(error, principal)
      whenNewest(this.#node, newerMs, (unknown) => {
        if (unknown !== undefined) done(unknown, undefined)
        else if (this.#node.auth.revision === revision) done(error, undefined)
        else this.#identify(credentials, done)
      })
    })
  }

  #identify({ authorization, address, certificateUser, node }: Credentials, done: IdentifyCallback) {
    const { enabled, state } = this.#node.auth
    if (!enabled || authorization === undefined) {
      // The common name of a certificate may be anything. That of a node is its name, which may be no user.
      const isUser = certificateUser !== undefined && isAuthName(certificateUser)
      if (isUser && !(enabled && node !== undefined && !state.users.has(certificateUser)))
        return done(undefined, { user: certificateUser, epoch: undefined })
      return done(undefined, node && new JoiningNode(node))
    }
    const [scheme = '', value = ''] = authorization.trim().split(/ +/, 2)
    if (scheme.toLowerCase() === 'basic') return this.#identifyByPassword(value, address, done)
    if (scheme.toLowerCase() !== 'bearer')
      return done(refused('Authorization must be Basic or Bearer'), undefined)
    const token = this.#tokens.use(value, state)
    if ('fault' in token) return done(refused(token.fault), undefined)
    done(undefined, { user: token.user, epoch: token.epoch, token })
  }

  #identifyByPassword(value: string, address: string, done: IdentifyCallback) {
    const given = parseBasicCredentials(value)
    if (given === undefined)
      return done(refused('Authorization: Basic needs base64 of user:password'), undefined)
    const { user, password } = given
    const epoch = this.#node.auth.state.users.get(user)?.epoch
    this.#check(user, password, address, (error) =>
      done(error, error === undefined ? { user, epoch } : undefined),
    )
  }

  #check(user: string, password: string, address: string, done: (error: ApiError | undefined) => void): void {
    // Nobody can have this name. A wrong password is remembered by its name, which may be as long as a request.
    if (!isAuthName(user)) {
      done(WRONG)
      return
    }
    const hash = this.#node.auth.state.users.get(user)?.passwordHash
    this.passwords.check(user, password, hash, address, (error, isRight) => {
      if (error !== undefined) done(errorOfPassword(error))
      else done(isRight ? undefined : WRONG)
    })
  }

  /** Whether this is the password that the user has. */
  checkPassword(
    user: string,
    password: string,
    address: string,
    done: (error: ApiError | undefined) => void,
  ): void {
    this.#check(user, password, address, done)
  }

  /** Makes a token for a password, by users that are no older than the login. */
  logIn(
    user: string,
    password: string,
    address: string,
    timeoutMs: number,
    done: (error: ApiError | undefined, token: string, expiresInMs: number) => void,
  ): void {
    const refuse = (error: ApiError): void => done(error, '', 0)
    const epochNow = (): number | undefined => this.#node.auth.state.users.get(user)?.epoch
    const check = (): void => {
      const epoch = epochNow()
      this.#check(user, password, address, (error) => (error === undefined ? sign(epoch) : refuse(error)))
    }
    const sign = (epoch: number | undefined): void => {
      const { tokenKey } = this.#node.auth.state.keys
      // The password was changed, or the user removed, while it was checked.
      if (epoch === undefined || epoch !== epochNow()) refuse(WRONG)
      else {
        const endsAt = Date.now() + this.#tokenMs
        done(undefined, signAuthToken({ user, epoch, endsAt }, tokenKey), this.#tokenMs)
      }
    }
    whenNewest(this.#node, timeoutMs, (error) => {
      if (error !== undefined) refuse(error)
      else if (this.#node.auth.enabled) check()
      else refuse(NOT_CHECKED)
    })
  }
}

/** The user and the password of `Authorization: Basic`. */
function parseBasicCredentials(
  value: string,
): { readonly user: string; readonly password: string } | undefined {
  const text = Buffer.from(value, 'base64').toString('utf8')
  const at = text.indexOf(':')
  return at === -1 ? undefined : { user: text.slice(0, at), password: text.slice(at + 1) }
}

/** The user whom an Authorization header names with a password; whether it is right is not known. */
export function parseClaimedUser(authorization = ''): string | undefined {
  const [scheme = '', value = ''] = authorization.trim().split(/ +/, 2)
  return scheme.toLowerCase() === 'basic' ? parseBasicCredentials(value)?.user : undefined
}

export const errorOfPassword = (error: Error): ApiError =>
  error instanceof PasswordsBusyError
    ? new ApiError('overloaded', error.message, { members: { retry_after_ms: error.retryAfterMs } })
    : new ApiError('internal', error.message)

const refused = (detail: string): ApiError => new ApiError('unauthenticated', detail)

const WRONG = refused('wrong user or password')

const NOT_CHECKED = new ApiError(
  'bad_request',
  'rights are not checked, so nobody needs to log in: `quorate auth enable`',
)
