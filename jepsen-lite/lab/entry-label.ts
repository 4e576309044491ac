// The effect of an entry, in a few characters for a cell of a log.

import { type Command, decodeRequest } from '../../src/kv/index.ts'
import {
  BODY_AT,
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEADER_LEASES,
  readHeader,
} from '../../src/raft/index.ts'
import { text } from '../sim/oracle/model-row.ts'

export function entryLabel(frame: Uint8Array | undefined): string {
  if (frame === undefined) return ''
  const { kind, version } = readHeader(frame)
  if (kind === ENTRY_CONFIGURATION) return 'members'
  if (kind === ENTRY_LEADER_LEASES) return 'leader leases'
  if (kind < ENTRY_KINDS_OF_CORE) return 'new term'
  return commandLabel(decodeRequest(kind, version, frame.subarray(BODY_AT)).command)
}

function commandLabel(command: Command): string {
  switch (command.kind) {
    case 'put':
      return `${text(command.key)}=${text(command.value)}`
    case 'delete':
      return `delete ${text(command.key)}`
    default:
      return command.kind
  }
}
