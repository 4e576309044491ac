import type { NodeEvent } from './supervised-node.ts'

/** What happens to a cluster, as its watchers are told. */
export type ClusterEvent =
  | { readonly kind: 'node'; readonly name: string; readonly event: NodeEvent }
  | { readonly kind: 'command'; readonly said: string }
  /** The directory is not where it was; the cluster ends. */
  | { readonly kind: 'lost' }
  /** cluster.json could not be written. */
  | { readonly kind: 'unsaved'; readonly reason: string }

export class ClusterEvents {
  readonly #watchers = new Set<(event: ClusterEvent) => void>()

  /** Until the returned function is called. */
  watch(watcher: (event: ClusterEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  emit(event: ClusterEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event)
  }
}
