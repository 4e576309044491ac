// The users of a conversation: their tokens, and how everything is as it was when it has ended.

import { RPC } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GrpcError } from '../../../src/etcd/status.ts'
import type { GrpcCallOptions, GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { poll } from '../../../src/local/poll.ts'

const ROOT = 'root'
/** The name of somebody with a token that no server has given. */
export const IMPOSTOR = 'impostor'

/** Time in which root must be logged in. */
const LOGIN_MS = 60_000

const withToken = (token: string): GrpcCallOptions => ({ metadata: { token } })

export class Tokens {
  readonly #tokens = new Map<string, string>([[IMPOSTOR, 'no-token.1']])
  #rootPassword = ''
  /** Whether users, roles or their rights may differ from those before the conversation. */
  areChanged = false

  /** Without a login, a user has no token. */
  optionsFor(user: string | undefined): GrpcCallOptions {
    const token = user === undefined ? undefined : this.#tokens.get(user)
    return token === undefined ? {} : withToken(token)
  }

  get ofRoot(): GrpcCallOptions {
    return this.optionsFor(ROOT)
  }

  get rootPassword(): string {
    return this.#rootPassword
  }

  /** Takes what the answered request has changed. */
  learn(rpc: string, request: Readonly<Record<string, unknown>>, response: object): void {
    const { name, password } = request
    if (rpc === 'authenticate') {
      this.#tokens.set(String(name), (response as { readonly token: string }).token)
      return
    }
    if (!/^(auth|user|role)/.test(rpc)) return
    this.areChanged = true
    if ((rpc === 'userAdd' || rpc === 'userChangePassword') && name === ROOT)
      this.#rootPassword = String(password ?? '')
  }
}

/** Ends the check of rights, and removes all users and roles. */
export async function removeUsers(client: GrpcClient, { rootPassword: password }: Tokens): Promise<void> {
  const logIn = async (): Promise<GrpcCallOptions | undefined> => {
    try {
      const { token } = await client.unary(RPC.authenticate, { name: ROOT, password })
      return withToken(token)
    } catch (error) {
      // After wrong passwords a server may let its client wait.
      return error instanceof GrpcError && error.message === ETCD_ERRORS.authNotEnabled.message
        ? {}
        : undefined
    }
  }
  const options = await poll(logIn, { timeoutMs: LOGIN_MS, intervalMs: 200 })
  await client.unary(RPC.authDisable, {}, options)
  const { users } = await client.unary(RPC.userList, {})
  for (const name of users) await client.unary(RPC.userDelete, { name })
  const { roles } = await client.unary(RPC.roleList, {})
  for (const role of roles) await client.unary(RPC.roleDelete, { role })
}

const DEACTIVATE = 2

export async function removeAlarms(client: GrpcClient): Promise<void> {
  const { alarms } = await client.unary(RPC.alarm, {})
  for (const { memberId, alarm } of alarms)
    await client.unary(RPC.alarm, { action: DEACTIVATE, memberId, alarm })
}
