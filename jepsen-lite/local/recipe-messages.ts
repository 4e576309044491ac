// Messages between the processes of recipes and the run.

import type { ClientTls } from '../../src/client/types.ts'
import type { Recipe } from '../sim/index.ts'
import type { OperationEnd, StoreOperation } from '../workload/history.ts'
import type { WireName } from './wires/index.ts'

/** Options of a client of the cluster. */
export interface RecipeConnection {
  readonly wire: WireName
  readonly endpoints: readonly string[]
  readonly tls: ClientTls | undefined
}

export interface RecipeOrder {
  readonly recipe: Recipe
  readonly connection: RecipeConnection
  /** Clients in this process. */
  readonly clients: number
  /** Operations a second of each. */
  readonly rate: number
  readonly seed: string
}

/** `ref` numbers the operations of one process. */
export type FromRecipes =
  | { readonly kind: 'invoke'; readonly ref: number; readonly client: number; readonly op: StoreOperation }
  | { readonly kind: 'end'; readonly ref: number; readonly end: OperationEnd }
  /** The process is about to end: something that must not happen has happened. */
  | { readonly kind: 'wrong'; readonly message: string }

export type ToRecipes = { readonly kind: 'begin'; readonly order: RecipeOrder } | { readonly kind: 'stop' }
