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
    explicit Span(std::string name) : name_(std::move(name)) { mark(": begin"); }
    ~Span() { mark(": end"); }
    Span(const Span &) = delete;
    Span &operator=(const Span &) = delete;

private:
    void mark(const char *what) const noexcept {
        try {
            sockshim_mark((name_ + what).c_str());
        } catch (...) {
            // Without memory for the text there is no mark; the block goes on.
        }
    }
    std::string name_;
};

} // namespace sockshim

#endif // SOCKSHIM_HPP
