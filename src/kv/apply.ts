// What a committed entry does to the store. A pure generator: it yields the keys of the rows that it must see, as they stand before the
// entry, and returns the outcome with the rows that change. Same entries, same state: same bytes on every replica.

import { conditionHolds } from './condition.ts'
import { assertNever } from './errors.ts'
import { fingerprint } from './fingerprint.ts'
import { encodeTokenRow, evict, lookUp, remember } from './idempotency.ts'
import type { ParsedRequest } from './request.ts'
import { parseRequest } from './request.ts'
import { dataKey, decodeKeyRow, encodeKeyRow, rememberedBytes, tokenKey } from './rows.ts'
import { settingsFault } from './settings.ts'
import type { Apply, Command, KeyRow, KvState, Outcome, Revision, RowChange } from './types.ts'
import { asRevision } from './types.ts'

export const applyEntry: Apply = function* (kind, version, body, clusterTimeMs, before) {
  const request = parseRequest(kind, version, body)
  const { command, token } = request
  const state = clusterTimeMs > before.clusterTimeMs ? { ...before, clusterTimeMs } : before

  const keys: Uint8Array[] = []
  if (command.kind !== 'settings') keys.push(dataKey(command.key))
  if (token !== undefined) keys.push(tokenKey(token))
  const rows = keys.length === 0 ? [] : yield { keys }

  const print = token === undefined ? undefined : fingerprint(kind, request.asked)
  const said = print === undefined ? undefined : answerOfToken(request, rows.at(-1), print, state)
  const done = said === undefined ? execute(command, rows[0], state) : unchanged(said.outcome, state)
  const { outcome, changes } = done

  const tokenRow = print === undefined || said !== undefined ? undefined : encodeTokenRow(print, outcome)
  const incoming = token === undefined || tokenRow === undefined ? 0 : rememberedBytes(token, tokenRow)
  let tokens = yield* evict(done.state, incoming, changes)
  if (token !== undefined && tokenRow !== undefined)
    tokens = remember(tokens, token, tokenRow, outcome.revision, state.clusterTimeMs, changes)
  const after = tokens === state.tokens ? done.state : { ...done.state, tokens }
  return { outcome, replayed: said?.replayed ?? false, changes, state: after }
}

interface Executed {
  readonly outcome: Outcome
  readonly changes: RowChange[]
  readonly state: KvState
}

/** What the token alone decides; undefined: nothing, the request is to be executed. */
function answerOfToken(
  { command, since }: ParsedRequest,
  tokenRow: Uint8Array | undefined,
  print: Uint8Array,
  state: KvState,
): { readonly outcome: Outcome; readonly replayed: boolean } | undefined {
  const { revision, tokens } = state
  const refuse = (code: RefusalCode, detail: string) => ({
    outcome: refused(revision, code, detail),
    replayed: false,
  })
  if (command.kind !== 'settings' && command.prev)
    return refuse(
      'bad_request',
      'the row before cannot be asked for under an idempotency token: values are not kept',
    )

  const known = lookUp(tokenRow, print, command)
  if (known === 'other-request')
    return refuse('idempotency_key_reused', 'this idempotency token was used for another request')
  if (known !== undefined) return { outcome: known, replayed: true }
  if (since !== undefined && since < tokens.horizon)
    return refuse(
      'idempotency_expired',
      `outcomes up to revision ${tokens.horizon} are forgotten; this token is in use since ${since}`,
    )
  return undefined
}

function execute(command: Command, row: Uint8Array | undefined, state: KvState): Executed {
  switch (command.kind) {
    case 'put':
      return put(command, row, state)
    case 'delete':
      return remove(command, row, state)
    case 'settings':
      return changeSettings(command.settings, state)
    default:
      return assertNever(command, 'command')
  }
}

function put(
  command: Extract<Command, { kind: 'put' }>,
  row: Uint8Array | undefined,
  state: KvState,
): Executed {
  const { key, value, condition, prev } = command
  const { settings } = state
  const fault = keyFault(key, state)
  if (fault !== undefined) return unchanged(fault, state)
  if (value.length > settings.valueBytesMax)
    return refuse(
      state,
      'value_too_large',
      `value of ${value.length} bytes, at most ${settings.valueBytesMax}`,
    )

  const current = row === undefined ? null : decodeKeyRow(key, row)
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const freed = current === null ? 0 : key.length + current.value.length
  const storeBytes = state.storeBytes - freed + key.length + value.length
  if (storeBytes > settings.storeBytesMax && storeBytes > state.storeBytes)
    return refuse(
      state,
      'storage_full',
      `the store would hold ${storeBytes} bytes, at most ${settings.storeBytesMax}`,
    )

  const revision = asRevision(state.revision + 1)
  const meta = {
    createRevision: current?.createRevision ?? revision,
    modRevision: revision,
    version: (current?.version ?? 0) + 1,
  }
  const changed = encodeKeyRow({ ...meta, value }, current?.modRevision ?? NONE)
  return {
    outcome: { kind: 'put', revision, ...meta, prev: prev ? current : undefined },
    changes: [{ key: dataKey(key), value: changed }],
    state: { ...state, revision, storeBytes, keys: state.keys + (current === null ? 1 : 0) },
  }
}

/** Always allowed when the store is full: it is the way out. */
function remove(
  command: Extract<Command, { kind: 'delete' }>,
  row: Uint8Array | undefined,
  state: KvState,
): Executed {
  const { key, condition } = command
  const fault = keyFault(key, state)
  if (fault !== undefined) return unchanged(fault, state)
  const current = row === undefined ? null : decodeKeyRow(key, row)
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const prev = command.prev ? current : undefined
  if (current === null)
    return unchanged({ kind: 'delete', deleted: 0, revision: state.revision, prev }, state)
  const revision = asRevision(state.revision + 1)
  const storeBytes = state.storeBytes - key.length - current.value.length
  return {
    outcome: { kind: 'delete', deleted: 1, revision, prev },
    changes: [{ key: dataKey(key), value: undefined }],
    state: { ...state, revision, storeBytes, keys: state.keys - 1 },
  }
}

/** Settings are not data: no revision is raised. */
function changeSettings(change: Partial<KvState['settings']>, state: KvState): Executed {
  const fault = settingsFault(change, state.settings)
  if (fault !== undefined) return refuse(state, 'bad_request', fault)
  const settings = { ...state.settings, ...change }
  return {
    outcome: { kind: 'settings', revision: state.revision, settings },
    changes: [],
    state: { ...state, settings },
  }
}

type RefusalCode = Extract<Outcome, { kind: 'refused' }>['code']

const NONE: Revision = asRevision(0)

function keyFault(key: Uint8Array, { revision, settings }: KvState): Outcome | undefined {
  if (key.length === 0) return refused(revision, 'bad_request', 'empty key')
  if (key.length <= settings.keyBytesMax) return undefined
  return refused(revision, 'key_too_long', `key of ${key.length} bytes, at most ${settings.keyBytesMax}`)
}

function preconditionFailed(current: KeyRow | null, state: KvState): Executed {
  if (current === null)
    return unchanged({ kind: 'precondition-failed', revision: state.revision, current }, state)
  const { key, createRevision, modRevision, version } = current
  const meta = { key, createRevision, modRevision, version }
  return unchanged({ kind: 'precondition-failed', revision: state.revision, current: meta }, state)
}

const refuse = (state: KvState, code: RefusalCode, detail: string): Executed =>
  unchanged(refused(state.revision, code, detail), state)

const refused = (revision: Revision, code: RefusalCode, detail: string): Outcome => ({
  kind: 'refused',
  revision,
  code,
  detail,
})

const unchanged = (outcome: Outcome, state: KvState): Executed => ({ outcome, changes: [], state })
