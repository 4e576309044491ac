// The directory of a cluster, held by its supervisor: the lock, and cluster.json, which says what the cluster is.

import { join } from 'node:path'
import {
  CLUSTER_FILE,
  type ClusterFile,
  type ControlAddress,
  readClusterFile,
  writeClusterFile,
} from './cluster-file.ts'
import { directoryId, fileId } from './directory-id.ts'
import { names, releaseLock } from './supervisor-lock.ts'

export class HeldDirectory {
  readonly path: string
  readonly #id: string | undefined
  readonly #holder: ControlAddress
  /** cluster.json as it was written here (`fileId`). */
  #ownCluster: string | undefined

  /** `holder` has taken the lock. `id`: of the directory that was at the path before (directory-id.ts). */
  constructor(path: string, id: string | undefined, holder: ControlAddress) {
    this.path = path
    this.#id = id
    this.#holder = holder
  }

  /**
   * Whether the path still leads to it. Nodes open files by their path: if another directory is there, they would write
   * into its data. If the files were deleted, or replaced by those of a backup, all writes acknowledged from then on
   * would be lost, and no command would find the cluster.
   */
  isHome(): boolean {
    try {
      return directoryId(this.path) === this.#id && names(this.path, this.#holder, this.#ownCluster)
    } catch {
      // A file system that fails for a moment is no reason to end a cluster.
      return true
    }
  }

  /** Writes cluster.json. `runs`: the holder goes on, and can be reached. */
  save(cluster: Pick<ClusterFile, 'cluster_id' | 'nodes'>, { runs }: { readonly runs: boolean }): void {
    const supervisor = runs ? this.#holder : null
    try {
      writeClusterFile(this.path, { cluster_id: cluster.cluster_id, supervisor, nodes: cluster.nodes })
    } finally {
      // The new file may be in its place although making it durable has failed.
      if (readClusterFile(this.path)?.supervisor?.token === supervisor?.token)
        this.#ownCluster = fileId(join(this.path, CLUSTER_FILE))
    }
  }

  release(): void {
    releaseLock(this.path, this.#holder)
  }
}
