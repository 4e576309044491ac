// The target of scheduled backups that an option names.

import { BucketTarget, parseBucketOptions } from './s3.ts'
import { type BackupTarget, DirectoryTarget, isBucket } from './target.ts'

/** A directory, or s3://BUCKET/PREFIX. Throws if the bucket, or the environment for it, is wrong. */
export const parseBackupTarget = (to: string, env: NodeJS.ProcessEnv): BackupTarget =>
  isBucket(to) ? new BucketTarget(parseBucketOptions(to, env)) : new DirectoryTarget(to)
