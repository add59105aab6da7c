import type { Disk } from "../disk.ts";
import { systemDisk } from "../disk.ts";
import { type RunBuild, RunWork } from "./run-work.ts";
export interface RunMaker {
  readonly memoryBytes: number;
  build(job: RunBuild, done: (error: Error | null) => void): void;
  merge(inputs: readonly string[], name: string, done: (error: Error | null) => void): void;
  remove(names: readonly string[]): void;
  close(): void;
}
export class InlineRunMaker implements RunMaker {
  private readonly work: RunWork;
  constructor(disk: Disk, folder: string) {
    this.work = new RunWork(disk, folder);
  }
  get memoryBytes(): number {
    return this.work.memoryBytes;
  }
  build(job: RunBuild, done: (error: Error | null) => void): void {
    try {
      this.work.build(job);
    } catch (error) {
      done(error as Error);
      return;
    }
    done(null);
  }
  merge(inputs: readonly string[], name: string, done: (error: Error | null) => void): void {
    try {
      const w = this.work.merge(inputs, name);
      while (w.step() === null);
    } catch (error) {
      done(error as Error);
      return;
    }
    done(null);
  }
  remove(names: readonly string[]): void {
    this.work.remove(names);
  }
  close(): void {}
}
export class WorkerRunMaker extends InlineRunMaker {
  constructor(folder: string) {
    super(systemDisk, folder);
  }
}
