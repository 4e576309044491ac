// All RPCs that are served.

import type { AnyRpc } from '../rpc.ts'
import { put } from './put.ts'
import { range } from './range.ts'

export const RPCS: readonly AnyRpc[] = [range, put]
