package align

// queue is a first-in first-out list on one slice, which it reuses.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int    { return len(q.items) - q.head }
func (q *queue[T]) at(i int) *T { return &q.items[q.head+i] }
func (q *queue[T]) push(v T)    { q.items = append(q.items, v) }
func (q *queue[T]) clear()      { q.drop(q.len()) }
func (q *queue[T]) rest() []T   { return q.items[q.head:] }
func (q *queue[T]) last() *T    { return &q.items[len(q.items)-1] }
func (q *queue[T]) insert(i int) { // makes room at i; the caller writes it
	var zero T
	q.items = append(q.items, zero)
	rest := q.rest()
	copy(rest[i+1:], rest[i:])
}

// drop forgets the first n items. The rest moves to the front of the slice once
// it is the smaller part, so that dropping costs a constant on average.
func (q *queue[T]) drop(n int) {
	clear(q.items[q.head : q.head+n])
	q.head += n
	if q.head*2 >= len(q.items) {
		rest := copy(q.items, q.items[q.head:])
		clear(q.items[rest:])
		q.items, q.head = q.items[:rest], 0
	}
}
