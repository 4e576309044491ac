// Recipes: what applications build on a consistent store, each in a file that begins with its promise and its limits.

export { type HeldLock, LockLostError, LockNotTakenError, type LockOptions, lock } from './lock.ts'
