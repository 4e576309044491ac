// All RPCs that are served.

import type { AnyRpc } from '../rpc.ts'
import { compact } from './compact.ts'
import { deleteRange } from './delete-range.ts'
import { put } from './put.ts'
import { range } from './range.ts'
import { txn } from './txn.ts'

export const RPCS: readonly AnyRpc[] = [range, put, deleteRange, txn, compact]
