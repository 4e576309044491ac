// The user of the command: --user and --token, or their variables. A password comes from KV_PASSWORD, or from a
// question on the terminal.

import { isUtf8 } from 'node:buffer'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'
import { fileContent, standardInput } from '../terminal/input.ts'
import { io } from '../terminal/io.ts'
import { say } from '../terminal/output.ts'
import { askSecret, hasTerminal } from '../terminal/questions.ts'
import type { GlobalFlags } from './global-flags.ts'

/** The options of the client. */
export type CredentialFlags =
  | { readonly user: string; readonly password: string }
  | { readonly token: string }
  | Record<string, never>

/** Name of the user in `--user NAME[:PASSWORD]`. */
export const parseUserName = (user: string): string => user.split(':', 1)[0] ?? ''

interface UserFlags {
  readonly user?: string | undefined
  readonly token?: string | undefined
}

/** The variable with the password of `--user`. */
const PASSWORD = 'KV_PASSWORD'

/**
 * The credentials that need no question. undefined: the password is missing. `variable`: its name in the environment.
 */
export function knownCredentials(
  { user, token }: UserFlags,
  variable = PASSWORD,
): CredentialFlags | undefined {
  if (token !== undefined) return { token }
  if (user === undefined) return {}
  const name = parseUserName(user)
  const password = name === user ? io().env[variable] : user.slice(name.length + 1)
  return password === undefined ? undefined : { user: name, password }
}

/** Asks for a missing password. */
export async function readCredentials(flags: UserFlags, variable = PASSWORD): Promise<CredentialFlags> {
  const known = knownCredentials(flags, variable)
  if (known !== undefined) return known
  const name = parseUserName(flags.user ?? '')
  if (!hasTerminal())
    throw new Failure(EXIT.usage, `the password of ${name} is missing: set ${variable}, or use a terminal`)
  return { user: name, password: await askSecret(`password of ${name}`) }
}

/** The Authorization header of requests as this user. */
export const readAuthorization = async (flags: GlobalFlags): Promise<string | undefined> =>
  authorizationHeader(await readCredentials(flags))

/** The same without a question: undefined if the password is missing. */
export const knownAuthorization = (flags: GlobalFlags): string | undefined =>
  authorizationHeader(knownCredentials(flags) ?? {})

function authorizationHeader(credentials: CredentialFlags): string | undefined {
  if ('token' in credentials) return `Bearer ${credentials.token}`
  if (!('user' in credentials)) return undefined
  return `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`
}

/** Flags with secrets, which the list of processes must not show. */
const SECRETS = /^--(?:(?:etcd-)?user|token|password)\b/

/** Replaces the command line in the list of processes if it has a secret. */
export function hideSecrets(argv: readonly string[]): void {
  if (argv.some((arg) => SECRETS.test(arg))) process.title = PROGRAM
}

export interface NewPasswordFlags {
  readonly passwordFile?: string | undefined
  readonly password?: string | boolean | undefined
}

/** The password that a user shall have: of a file, or of two equal answers on the terminal. */
export async function newPassword(
  name: string,
  { passwordFile, password }: NewPasswordFlags,
): Promise<string> {
  if (typeof password === 'string') {
    say('warning: a command line is no place for a password: use --password-file, or the question')
    if (passwordFile === undefined) return password
    throw new Failure(EXIT.usage, 'a password is given twice: with --password and with --password-file')
  }
  if (passwordFile !== undefined) return readPasswordFile(passwordFile)
  if (!hasTerminal())
    throw new Failure(EXIT.usage, 'a password is missing: --password-file FILE, or - for standard input')
  const first = await askSecret(`new password of ${name}`)
  if (first === (await askSecret('the same again'))) return first
  throw new Failure(EXIT.usage, 'the two passwords differ: nothing was changed')
}

/** The content without the newline at its end. */
export async function readPasswordFile(file: string): Promise<string> {
  const bytes = file === '-' ? await standardInput(A_PASSWORD) : await fileContent(file, A_PASSWORD)
  const text = bytes.toString().replace(/\r?\n$/, '')
  if (isUtf8(bytes) && text !== '' && !/[\r\n]/.test(text)) return text
  throw new Failure(EXIT.usage, 'the password must be one line of UTF-8 that is not empty')
}

const A_PASSWORD = 'a password'
