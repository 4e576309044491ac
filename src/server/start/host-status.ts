// The surroundings of a replica, read when a client requests the status of the node.

import type { DirectoryDisk } from '../node/directory-disk.ts'
import type { HostStatus } from '../node/driver-options.ts'
import type { CertificateExpiry } from '../options.ts'
import type { NodeCertificates } from '../tls/node-certificates.ts'
import type { BackupSchedule } from './backup-schedule.ts'

export class NodeHost implements HostStatus {
  readonly #disk: DirectoryDisk
  readonly #tls: NodeCertificates | undefined
  /** Set when the node makes backups by itself. */
  backups: BackupSchedule | undefined

  constructor(disk: DirectoryDisk, tls: NodeCertificates | undefined) {
    this.#disk = disk
    this.#tls = tls
  }

  get diskTotalBytes(): number {
    return this.#disk.totalBytes()
  }

  get certificates(): readonly CertificateExpiry[] {
    return this.#tls?.expiries() ?? []
  }

  get lastBackupAgeMs(): number | undefined {
    const lastMs = this.backups?.counts.lastSuccessMs
    // The clock of the machine may have been set back.
    return lastMs === undefined ? undefined : Math.max(0, Date.now() - lastMs)
  }

  get backupFailure(): string | undefined {
    return this.backups?.counts.failure
  }
}
