// The file system with the data of a node. The driver measures and reserves space only through it, so that the
// simulator can run the driver on a disk of its own.

export interface Disk {
  /** Free bytes for this user; Infinity when they are unknown. */
  freeBytes(): number
  /** The reserve file: whether it exists or is being created. */
  readonly hasReserve: boolean
  /** Creates the reserve file in the background. */
  takeReserve(bytes: number): void
  giveBackReserve(): void
}
