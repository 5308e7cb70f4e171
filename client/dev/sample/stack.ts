/** Last in, first out. */
export class Stack<T> {
  private readonly items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  push(item: T): void {
    this.items.push(item);
  }

  pop(): T | undefined {
    // Continue here: F1, Hearth: Continue From Cursor.
    
  }
}
