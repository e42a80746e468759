// sockshim for C++: sockshim.h, and marks that end by themselves.
//
//     #include <sockshim.hpp>
//
//     void answer(const Request &request) {
//         sockshim::Span span("request " + request.id);    // marks "request 17: begin"
//         ...
//     }                                                    // marks "request 17: end"
//
// With <sockshim/weak.h> in front of it, it does nothing where the shim is not there. C++11 and later.

#ifndef SOCKSHIM_HPP
#define SOCKSHIM_HPP

#ifndef SOCKSHIM_WEAK_H
#include "sockshim.h"
#endif

#include <string>
#include <utility>

namespace sockshim {

// Marks the beginning and the end of a block in the trace.
class Span {
public:
    explicit Span(std::string name) : name_(std::move(name)) { sockshim_span_begin(name_.c_str()); }
    ~Span() { sockshim_span_end(name_.c_str()); }
    Span(const Span &) = delete;
    Span &operator=(const Span &) = delete;

private:
    std::string name_;
};

} // namespace sockshim

#endif // SOCKSHIM_HPP
